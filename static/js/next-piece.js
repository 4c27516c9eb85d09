// The piece after this one: held and loaded while one is at work, so that it is there at once after the submit.
import { announce } from "plumbline/announce";
import { post } from "plumbline/post";

export class NextPiece {
  // Where this fails nothing is lost: the submit then leads to the next page as it does without a script.
  async load(url, kind) {
    const answer = await post(url).catch(() => null);
    const next = answer?.ok ? (await answer.json()).next : null;
    const page = next ? await fetch(next, { redirect: "error" }).catch(() => null) : null;
    if (!page?.ok) return;
    const loaded = new DOMParser().parseFromString(await page.text(), "text/html");
    // Another kind needs other scripts, and a script within the page (of what may be harmful) would not run.
    if (loaded.querySelector("work-form")?.dataset.kind !== kind || loaded.querySelector("main script")) return;
    this.page = loaded;
    this.url = next;
  }

  // Puts the piece in the place of the one just submitted, with what the server said of that one above it.
  show(said) {
    const main = document.adoptNode(this.page.querySelector("main"));
    const toasts = document.createElement("ul");
    toasts.className = "toasts stack stack--tight";
    toasts.innerHTML = `<li class="toast" data-kind="success"></li>`;
    toasts.firstChild.innerHTML = said;
    main.querySelector(".breadcrumbs").after(toasts);
    history.pushState(null, "", this.url);
    document.title = this.page.title;
    document.querySelector("main").replaceWith(main);
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
    const message = [...toasts.querySelectorAll("span")].at(-1) ?? toasts; // beside it there may be a link
    announce(`${message.textContent} ${main.querySelector("h1").textContent}`);
  }
}

// A page that was put in place like this is loaded anew when one goes back to it.
addEventListener("popstate", () => location.reload());
