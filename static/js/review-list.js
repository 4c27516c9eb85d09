// <review-list> wraps the form of the review queue. Arrow keys go from piece to piece while a mark has the focus, with
// Shift they mark on the way, and Shift + click marks a stretch. Without it the form works as it is.
import { announce } from "plumbline/announce";

class ReviewList extends HTMLElement {
  connectedCallback() {
    this.marks = [...this.querySelectorAll('input[name="piece"]')];
    this.all = this.querySelector("[data-mark-page]");
    this.count = this.querySelector("[data-count]");
    for (const element of this.querySelectorAll("[data-needs-js]")) element.hidden = this.marks.length === 0;
    this.addEventListener("keydown", (event) => this.move(event));
    this.addEventListener("click", (event) => this.stretch(event));
    this.addEventListener("change", (event) => this.changed(event));
    this.tell();
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = step && this.marks[this.marks.indexOf(event.target) + step];
    if (!next || !this.marks.includes(event.target)) return;
    event.preventDefault();
    if (event.shiftKey) next.checked = event.target.checked = true;
    next.focus();
    next.closest(".piece").scrollIntoView({ block: "nearest" });
    if (event.shiftKey) this.tell();
  }

  stretch(event) {
    const here = this.marks.indexOf(event.target);
    if (here < 0) return;
    if (event.shiftKey && this.last >= 0) {
      const [first, last] = [Math.min(here, this.last), Math.max(here, this.last)];
      for (const mark of this.marks.slice(first, last + 1)) mark.checked = event.target.checked;
    }
    this.last = here;
    this.tell();
  }

  changed(event) {
    if (event.target === this.all) for (const mark of this.marks) mark.checked = this.all.checked;
    if (event.target === this.all || this.marks.includes(event.target)) this.tell();
  }

  tell() {
    const marked = this.marks.filter((mark) => mark.checked).length;
    const text = this.dataset.marked.replace("#", marked);
    this.all.checked = marked > 0 && marked === this.marks.length;
    this.all.indeterminate = marked > 0 && marked < this.marks.length;
    if (this.count.textContent && this.count.textContent !== text) announce(text);
    this.count.textContent = text;
  }
}

customElements.define("review-list", ReviewList);
