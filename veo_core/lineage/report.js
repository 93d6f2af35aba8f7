"use strict";
(() => {
  // One clip sounds at a time.
  document.addEventListener("play", (event) => {
    for (const video of document.querySelectorAll("video")) {
      if (video !== event.target) video.pause();
    }
  }, true);

  // A clip shows its picture until it is played; then it gets its controls back.
  for (const video of document.querySelectorAll(".frame video")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "play";
    button.setAttribute("aria-label", `Play ${video.getAttribute("aria-label")}`);
    button.addEventListener("click", () => {
      button.remove();
      video.controls = true;
      video.play();
      video.focus();
    });
    video.controls = false;
    video.after(button);
  }

  // Filters of the contact sheet.
  const buttons = [...document.querySelectorAll("[data-filter]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const wanted = button.dataset.filter;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const clip of document.querySelectorAll("article.clip")) {
        clip.hidden = wanted !== "all" && clip.dataset.kind !== wanted && clip.dataset.right !== wanted;
      }
    });
  }

  // A task's log opens at its end, and the chosen node is marked.
  const show = () => {
    const task = location.hash.startsWith("#task-") ? document.querySelector(location.hash) : null;
    for (const node of document.querySelectorAll(".node")) {
      node.classList.toggle("chosen", node.getAttribute("href") === location.hash);
    }
    const log = task?.querySelector("pre.log");
    if (log) log.scrollTop = log.scrollHeight;
  };
  window.addEventListener("hashchange", show);
  show();
})();
