"use strict";
(() => {
  // Each section becomes a tab. Arrow keys, Home and End move between tabs.
  const list = document.querySelector("[role=tablist]");
  const panels = [...document.querySelectorAll("main > section")];
  const tabs = panels.map((panel) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `${panel.id}-button`;
    tab.textContent = panel.querySelector("h2").textContent;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.querySelector("h2").hidden = true;
    list.append(tab);
    return tab;
  });
  const show = (chosen) => {
    tabs.forEach((tab, index) => {
      const isChosen = index === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      panels[index].hidden = !isChosen;
      if (!isChosen) for (const video of panels[index].querySelectorAll("video")) video.pause();
    });
  };
  list.addEventListener("click", (event) => {
    const index = tabs.indexOf(event.target);
    if (index >= 0) show(index);
  });
  list.addEventListener("keydown", (event) => {
    const now = tabs.indexOf(document.activeElement);
    const last = tabs.length - 1;
    const next = {
      ArrowRight: now === last ? 0 : now + 1,
      ArrowLeft: now === 0 ? last : now - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (now < 0 || next === undefined) return;
    event.preventDefault();
    show(next);
    tabs[next].focus();
  });
  list.hidden = panels.length < 2;
  if (panels.length) show(0);

  // One clip sounds at a time.
  document.addEventListener("play", (event) => {
    for (const video of document.querySelectorAll("video")) if (video !== event.target) video.pause();
  }, true);

  // A clip shows its picture until it is played; then it gets its controls back.
  for (const video of document.querySelectorAll("video")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "play";
    button.setAttribute("aria-label", `Play ${video.getAttribute("aria-label")}`);
    button.addEventListener("click", () => {
      button.remove();
      video.controls = true;
      video.focus();
      video.play();
    });
    video.controls = false;
    video.after(button);
  }
})();
