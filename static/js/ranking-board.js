// <ranking-board> wraps the outputs to rank. Keys, chips and dragging all write the form's own radio buttons, which stay
// the only state: every change is drawn from them.
import { announce } from "plumbline/announce";
import { makeDraggable } from "plumbline/rank-drag";

const TYPING = "textarea, select, input:not([type=radio], [type=checkbox])";
const KEYS_OFF = "plumbline-keys-off";

class RankingBoard extends HTMLElement {
  connectedCallback() {
    this.form = this.closest("form");
    this.outputs = [...this.querySelectorAll(".output")];
    this.board = this.form.querySelector(".rank-board");
    this.help = this.form.querySelector("dialog.keys");
    this.chips = new Map(this.outputs.map((output) => [output.dataset.key, this.makeChip(output)]));
    this.recent = []; // keys in the order they were ranked, for `=`

    this.form.addEventListener("change", (event) => this.changed(event));
    this.addEventListener("focusin", (event) => this.choose(event.target.closest(".output")));
    this.addEventListener("pointerdown", (event) => this.choose(event.target.closest(".output")));
    this.board.addEventListener("click", (event) => this.tapped(event));
    makeDraggable(this.board, (key, rank) => this.setRank(key, rank));
    this.onKey = (event) => this.pressed(event);
    document.addEventListener("keydown", this.onKey);
    this.setUpHelp();
    this.choose(this.outputs[0]);
    this.draw();
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.onKey);
  }

  makeChip(output) {
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", className: "chip", tabIndex: -1, textContent: output.dataset.key.toUpperCase() });
    chip.dataset.key = output.dataset.key;
    chip.setAttribute("aria-label", output.getAttribute("aria-label"));
    return chip;
  }

  setUpHelp() {
    const on = this.help.querySelector("[data-keys-on]");
    on.checked = !localStorage.getItem(KEYS_OFF);
    on.addEventListener("change", () => on.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1"));
    this.form.querySelector("[data-open-keys]").addEventListener("click", () => this.help.showModal());
    this.help.querySelector("[data-close-keys]").addEventListener("click", () => this.help.close());
  }

  rankOf(key) { return this.form.elements[`rank_${key}`].value; }

  setRank(key, rank) { this.set(`rank_${key}`, rank); }

  set(name, value) {
    const radios = [...this.form.elements[name]];
    for (const radio of radios) radio.checked = radio.value === String(value);
    radios[0].dispatchEvent(new Event("change", { bubbles: true }));
  }

  changed(event) {
    const [what, key] = (event.target.name || "").split("_");
    if (what === "rank") {
      this.recent = [...this.recent.filter((other) => other !== key), key];
      this.draw();
      this.announceRank(key);
    } else if (what === "rating") {
      this.say("sayRating", { key, rating: this.form.elements[`rating_${key}`].value });
    } else if (what === "flag") {
      this.draw();
    }
  }

  choose(output, { go = false } = {}) {
    if (!output) return;
    this.current = output;
    for (const other of this.outputs) other.toggleAttribute("data-current", other === output);
    for (const [key, chip] of this.chips) chip.setAttribute("aria-current", String(key === output.dataset.key));
    if (go) {
      output.focus({ preventScroll: true });
      output.scrollIntoView({ block: "nearest" });
    }
  }

  step(by) {
    const at = this.outputs.indexOf(this.current) + by;
    this.choose(this.outputs[Math.max(0, Math.min(at, this.outputs.length - 1))], { go: true });
  }

  tie() {
    const key = this.current.dataset.key;
    const partner = this.recent.findLast((other) => other !== key && this.rankOf(other));
    if (partner) this.setRank(key, this.rankOf(partner));
  }

  tapped(event) {
    const chip = event.target.closest(".chip");
    const column = event.target.closest(".rank-column");
    if (chip) this.choose(this.querySelector(`[data-key="${chip.dataset.key}"]`), { go: true });
    else if (column) this.setRank(this.current.dataset.key, column.dataset.rank);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.open || event.target.closest?.(TYPING)) return;
    if (event.key === "?") this.help.showModal();
    else if (!localStorage.getItem(KEYS_OFF) && this.act(event)) event.preventDefault();
  }

  act({ key, code, shiftKey, target }) {
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1] ?? (/^\d$/.test(key) ? key : null);
    const current = this.current.dataset.key;
    const named = this.outputs.find((output) => output.dataset.key === key.toLowerCase());
    if (digit && shiftKey) return digit >= 1 && digit <= 7 && (this.set(`rating_${current}`, digit), true);
    if (digit) return digit <= this.outputs.length && (this.setRank(current, digit), true);
    if (key === "=") return this.tie(), true;
    if (named) return this.choose(named, { go: true }), true;
    if (target.closest?.("input, summary, .site-header")) return false; // arrows have their own meaning there
    if (key === "ArrowRight") return this.step(1), true;
    if (key === "ArrowLeft") return this.step(-1), true;
    return false;
  }

  draw() {
    const groups = new Map();
    for (const [key, chip] of this.chips) {
      const rank = this.rankOf(key);
      this.board.querySelector(`[data-rank="${rank}"] .rank-column__chips`).append(chip);
      if (rank) groups.set(rank, [...(groups.get(rank) ?? []), key.toUpperCase()]);
    }
    const order = [...groups].sort(([one], [other]) => one - other).map(([, keys]) => keys.join(" = "));
    this.form.querySelector("[data-order]").textContent = order.join(" > ");
    for (const output of this.outputs) {
      const flagged = output.querySelectorAll(".flag input[value=yes]:checked").length;
      const count = output.querySelector("[data-flag-count]");
      if (count) count.textContent = flagged || "";
    }
  }

  announceRank(key) {
    const rank = this.rankOf(key);
    const others = [...this.chips.keys()].filter((other) => other !== key && rank && this.rankOf(other) === rank);
    const what = !rank ? "sayNone" : others.length ? "sayTie" : "sayRank";
    this.say(what, { key, rank, others: others.join(", ").toUpperCase() });
  }

  say(what, { key, ...values }) {
    let text = this.dataset[what].replace("{key}", key.toUpperCase());
    for (const [name, value] of Object.entries(values)) text = text.replace(`{${name}}`, value);
    announce(text);
  }
}

customElements.define("ranking-board", RankingBoard);
