// Parts of a page that replace themselves every two seconds: what the reader opened stays open, what changed is said once.
import { announce } from "plumbline/announce";

const live = (element) => element?.closest?.("[data-live]");
let opened = [];
let said = document.querySelector("[data-live]")?.dataset.says;

document.addEventListener("htmx:beforeSwap", (event) => {
  const part = live(event.detail.target);
  if (!part) return;
  // Signed out meanwhile: the answer is the sign-in page, which belongs in the whole window.
  if (new URL(event.detail.xhr.responseURL).pathname !== location.pathname) {
    event.detail.shouldSwap = false;
    location.reload();
  }
  opened = [...part.querySelectorAll("details[open][id]")].map((details) => ({
    id: details.id,
    scrolled: details.querySelector(".table-scroll")?.scrollTop ?? 0,
  }));
});

document.addEventListener("htmx:afterSwap", () => {
  for (const { id, scrolled } of opened) {
    const details = document.getElementById(id);
    if (!details) continue;
    details.open = true;
    const table = details.querySelector(".table-scroll");
    if (table) table.scrollTop = scrolled;
  }
  opened = [];
  const now = document.querySelector("[data-live]")?.dataset.says;
  if (now && now !== said) announce(now);
  said = now;
});
