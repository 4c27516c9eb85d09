// What every page has: menus that close, and the colour switch without a reload (so that nothing typed is lost).
import { forgetPerson } from "plumbline/kept";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-theme-form]")) return;
  event.preventDefault();
  const theme = event.submitter.value;
  const year = 365 * 24 * 3600;
  document.cookie = `theme=${theme}; path=/; max-age=${theme === "system" ? 0 : year}; samesite=lax`;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  event.target.closest("details").open = false;
});

// On signing out nothing of the person stays in the browser. A page with unsaved work saves it first (work-form.js).
document.addEventListener("submit", (event) => {
  if (new URL(event.target.action).pathname.endsWith("/logout/")) forgetPerson(document.body.dataset.person);
});
