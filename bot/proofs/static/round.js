// Checks in the reader's browser what the page says; nothing that is typed here is sent.
"use strict";

const page = document.querySelector("main").dataset;
const canHash = Boolean(globalThis.crypto && crypto.subtle);

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function show(place, name, value) {
  for (const one of place.querySelectorAll(`[data-${name}]`)) one.hidden = one.dataset[name] !== value;
}

async function checkSeed() {
  const place = document.getElementById("seed-check");
  if (!place) return;
  if (!canHash) {
    show(place, "outcome", "cannot");
    return;
  }
  const found = await sha256(fromHex(page.seed));
  show(place, "outcome", found === page.commitment ? "agrees" : "differs");
}

async function findMine(event) {
  const member = event.target.value.trim();
  const place = document.getElementById("mark");
  for (const row of document.querySelectorAll("tr.mine")) row.classList.remove("mine");
  place.hidden = member === "";
  if (member === "") return;
  const mark = (await sha256(new TextEncoder().encode(`${page.round}|${member}`))).slice(0, 16);
  if (event.target.value.trim() !== member) return; // more was typed meanwhile
  place.querySelector("code").textContent = mark;
  const rows = document.querySelectorAll(`tr[data-mark="${mark}"]`);
  for (const row of rows) row.classList.add("mine");
  show(place, "found", rows.length ? "yes" : "no");
}

checkSeed();
const input = document.getElementById("member");
if (input && canHash) input.addEventListener("input", findMine);
else if (input) document.getElementById("mine").hidden = true;
