"use strict";
// What every page of ratings has: see rating_page.py.
const $ = id => document.getElementById(id);

function say(text, error) {
  $("message").textContent = text;
  $("message").dataset.kind = error ? "error" : "";
}

async function ask(path, options) {
  const response = await fetch(path, options);
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}

async function save(rating) {
  await ask("/votes", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(rating)});
}
