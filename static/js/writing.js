// What helps while one writes: the text as its readers will see it, and what the server points out about it.
import { post } from "plumbline/post";

const QUIET_MS = 500;

// <text-preview> holds a <details>: while it is open, it follows the text as the server renders it.
class TextPreview extends HTMLElement {
  connectedCallback() {
    this.area = document.getElementById(this.dataset.of);
    this.details = this.querySelector("details");
    this.shown = this.querySelector(".preview__text");
    this.details.addEventListener("toggle", () => this.show());
    this.area.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.show(), QUIET_MS);
    });
  }

  async show() {
    if (!this.details.open) return;
    const answer = await post(this.dataset.url, { text: this.area.value }).catch(() => null);
    if (answer?.ok) this.shown.innerHTML = await answer.text(); // made safe by the server
  }
}

// <pointed-out> lists what came back with the draft that was just saved. It speaks for itself: it is a live region.
class PointedOut extends HTMLElement {
  connectedCallback() {
    this.list = this.querySelector("ul");
    this.closest("work-form").addEventListener("draft-saved", ({ detail }) => this.show(detail.pointed_out));
  }

  show(texts) {
    if (texts.join() === [...this.list.children].map((each) => each.textContent).join()) return;
    this.list.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { dir: "auto", textContent: text })));
    this.hidden = !texts.length;
  }
}

customElements.define("text-preview", TextPreview);
customElements.define("pointed-out", PointedOut);
