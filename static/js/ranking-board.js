// <ranking-board> wraps the outputs to rank. Keys, chips and dragging all write the form's own radio buttons, which stay
// the only state: every change is drawn from them.
import { announce } from "plumbline/announce";
import { makeDraggable } from "plumbline/rank-drag";
import { Shortcuts } from "plumbline/rank-keys";
import { Comparison } from "plumbline/word-diff";

const TYPING = "textarea, select, input:not([type=radio], [type=checkbox])";
const OWN_ARROWS = "input, summary, .site-header, [role=region]"; // arrows have their own meaning there

class RankingBoard extends HTMLElement {
  connectedCallback() {
    this.form = this.closest("form");
    this.outputs = [...this.querySelectorAll(".output")];
    this.board = this.form.querySelector(".rank-board");
    this.line = this.form.elements.acceptable;
    this.chips = new Map(this.outputs.map((output) => [output.dataset.key, this.makeChip(output)]));
    this.shortcuts = new Shortcuts(document.querySelector("dialog.keys"));
    this.comparison = new Comparison(document.querySelector("dialog.comparison"), this.outputs);
    this.last = null; // the key that was ranked last

    this.form.addEventListener("change", (event) => this.changed(event));
    this.form.addEventListener("submit", (event) => this.check(event), { capture: true });
    this.addEventListener("focusin", (event) => this.choose(event.target.closest(".output")));
    this.addEventListener("pointerdown", (event) => this.choose(event.target.closest(".output")));
    this.addEventListener("pointerdown", (event) => this.pressing(event), { capture: true });
    this.addEventListener("click", (event) => this.clicked(event));
    this.board.addEventListener("click", (event) => this.tapped(event));
    this.form.querySelector("[data-open-keys]").addEventListener("click", () => this.shortcuts.open());
    const compare = document.querySelector("[data-compare]");
    compare.hidden = false;
    compare.addEventListener("click", () => this.compare());
    this.gone = new AbortController();
    const { signal } = this.gone;
    makeDraggable(this.board, (key, rank) => this.dropped(key, rank), { signal });
    document.addEventListener("keydown", (event) => this.pressed(event), { signal });

    const marked = this.querySelector('[aria-invalid="true"]')?.closest(".output");
    this.choose(marked ?? this.outputs[0], { go: Boolean(marked) });
    this.draw();
  }

  disconnectedCallback() {
    this.gone.abort();
  }

  makeChip(output) {
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", className: "chip", tabIndex: -1, textContent: output.dataset.key.toUpperCase() });
    chip.dataset.key = output.dataset.key;
    chip.setAttribute("aria-label", output.getAttribute("aria-label"));
    return chip;
  }

  // ── The state: radio buttons, and the line ──

  rankOf(key) { return this.form.elements[`rank_${key}`].value; }

  setRank(key, rank) { this.set(`rank_${key}`, rank); }

  set(name, value) {
    const radios = [...this.form.elements[name]];
    for (const radio of radios) radio.checked = radio.value === String(value);
    radios[0].dispatchEvent(new Event("change", { bubbles: true }));
  }

  groups() {
    const groups = new Map();
    for (const key of this.chips.keys()) {
      const rank = this.rankOf(key);
      if (rank) groups.set(rank, [...(groups.get(rank) ?? []), key]);
    }
    return [...groups].sort(([one], [other]) => one - other);
  }

  tie() {
    const key = this.current.dataset.key;
    const rank = this.rankOf(key);
    const above = rank
      ? this.groups().findLast(([other]) => Number(other) < Number(rank))?.[0]
      : this.last && this.rankOf(this.last);
    if (above) this.setRank(key, above);
    else this.say("sayNothingAbove", { key });
  }

  drawLine() {
    const rank = this.rankOf(this.current.dataset.key);
    if (!rank) return this.say("sayNone", { key: this.current.dataset.key });
    this.line.value = this.line.value === rank ? "" : rank;
    this.line.dispatchEvent(new Event("change", { bubbles: true }));
  }

  rest(output) {
    for (const flag of output.querySelectorAll(".flag")) {
      if (!flag.querySelector("input:checked")?.value) flag.querySelector("input[value=no]").checked = true;
    }
    output.querySelector(".flag input").dispatchEvent(new Event("change", { bubbles: true }));
  }

  // ── What happens ──

  changed(event) {
    const [what, key] = (event.target.name || "").split("_");
    if (what === "rank") {
      if (this.rankOf(key)) this.last = key;
      this.draw();
      this.announceRank(key);
    } else if (what === "rating") {
      const rating = this.form.elements[`rating_${key}`].value;
      this.say(rating ? "sayRating" : "sayNoRating", { key, rating });
    } else if (what === "flag" || what === "acceptable") {
      this.draw();
      if (what === "acceptable") this.sayLine();
    }
  }

  // Before anything is sent: an output without a rank is pointed out at once.
  check(event) {
    const missing = this.outputs.filter((output) => !this.rankOf(output.dataset.key));
    if (!missing.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.choose(missing[0], { go: true });
    const letters = missing.map((output) => output.dataset.key.toUpperCase()).join(", ");
    const text = this.dataset.sayMissing.replace("{letters}", letters);
    this.form.querySelector("[data-status]").textContent = text;
    announce(text);
  }

  choose(output, { go = false } = {}) {
    if (!output) return;
    this.current = output;
    for (const other of this.outputs) other.toggleAttribute("data-current", other === output);
    for (const [key, chip] of this.chips) chip.setAttribute("aria-current", String(key === output.dataset.key));
    if (go) {
      output.focus({ preventScroll: true });
      output.scrollIntoView({ block: output.offsetHeight > innerHeight ? "start" : "nearest" });
    }
  }

  step(by) {
    const at = this.outputs.indexOf(this.current) + by;
    this.choose(this.outputs[Math.max(0, Math.min(at, this.outputs.length - 1))], { go: true });
  }

  tapped(event) {
    const chip = event.target.closest(".chip");
    const column = event.target.closest(".rank-column");
    if (chip) this.choose(this.outputOf(chip.dataset.key), { go: true });
    else if (column) this.setRank(this.current.dataset.key, column.dataset.rank);
  }

  dropped(key, rank) {
    this.choose(this.outputOf(key));
    this.setRank(key, rank);
  }

  outputOf(key) { return this.outputs.find((output) => output.dataset.key === key); }

  // A click on the point that is chosen already takes it away: a radio button alone could not.
  pressing(event) {
    this.chosen = event.target.closest(".scale__point")?.querySelector("input:checked") ?? null;
  }

  clicked(event) {
    const rest = event.target.closest("[data-rest]");
    if (rest) this.rest(rest.closest(".output"));
    if (!event.detail || !event.target.matches(".scale__point input")) return;
    if (event.target === this.chosen) this.set(event.target.name, "");
    event.target.closest(".output").focus({ preventScroll: true }); // so that the arrows go between outputs again
  }

  pressed(event) {
    if (event.key === "Escape" && event.target.matches?.("#work textarea")) return this.choose(this.current, { go: true });
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !this.shortcuts.on) return;
    if (document.querySelector("dialog[open]") || event.target.closest?.(TYPING)) return;
    if (this.act(event)) event.preventDefault();
  }

  act({ key, code, shiftKey, target }) {
    const current = this.current.dataset.key;
    const action = this.shortcuts.action(key);
    if (action && !(key.startsWith("Arrow") && target.closest?.(OWN_ARROWS))) return this[`do_${action}`](), true;
    const digit = Number(/^(?:Digit|Numpad)(\d)$/.exec(code)?.[1] ?? (/^\d$/.test(key) ? key : 0));
    if (digit && shiftKey && digit <= 7) {
      const again = this.form.elements[`rating_${current}`].value === String(digit);
      return this.set(`rating_${current}`, again ? "" : digit), true;
    }
    if (digit && !shiftKey && digit <= this.outputs.length) return this.setRank(current, digit), true;
    const named = this.outputOf(key.toLowerCase());
    return named ? (this.choose(named, { go: true }), true) : false;
  }

  do_previous() { this.step(-1); }
  do_next() { this.step(1); }
  do_tie() { this.tie(); }
  do_clear() { this.setRank(this.current.dataset.key, ""); }
  do_line() { this.drawLine(); }
  do_compare() { this.compare(); }
  do_help() { this.shortcuts.open(); }
  do_note() { this.form.elements.note.focus(); }
  do_plain() { document.getElementById("plain").click(); }

  do_flags() {
    const flags = this.current.querySelector(".flags");
    if (!flags) return;
    flags.open = !flags.open;
    (flags.open ? flags.querySelector("input") : this.current).focus();
  }

  compare() {
    const at = this.outputs.indexOf(this.current);
    const pair = at ? [at - 1, at] : [0, 1];
    this.comparison.open(...pair.map((place) => this.outputs[place].dataset.key));
  }

  // ── What is seen and heard ──

  draw() {
    const groups = this.groups();
    const focused = document.activeElement;
    for (const column of this.board.children) {
      const wanted = [...this.chips].filter(([key]) => this.rankOf(key) === column.dataset.rank).map(([, chip]) => chip);
      const place = column.querySelector(".rank-column__chips");
      if (wanted.length !== place.children.length || wanted.some((chip, at) => place.children[at] !== chip)) {
        place.replaceChildren(...wanted);
      }
      const above = column.dataset.rank && this.line.value && Number(column.dataset.rank) <= Number(this.line.value);
      column.toggleAttribute("data-acceptable", Boolean(above));
      column.toggleAttribute("data-line", Boolean(this.line.value) && column.dataset.rank === (this.line.value === "0" ? "" : this.line.value));
    }
    if (focused !== document.activeElement) focused.focus({ preventScroll: true });
    const order = groups.map(([, keys]) => keys.join(" = ").toUpperCase());
    this.form.querySelector("[data-order]").textContent = order.join(" > ");
    for (const output of this.outputs) this.drawFlags(output);
  }

  drawFlags(output) {
    const count = output.querySelector("[data-flag-count]");
    if (!count) return;
    const answers = [...output.querySelectorAll(".flag input:checked")].map((input) => input.value);
    const values = { yes: answers.filter((answer) => answer === "yes").length, answered: answers.filter(Boolean).length, all: answers.length };
    count.textContent = values.answered ? filled(this.dataset.sayFlags, values) : "";
  }

  announceRank(key) {
    const rank = this.rankOf(key);
    const others = [...this.chips.keys()].filter((other) => other !== key && rank && this.rankOf(other) === rank);
    const what = !rank ? "sayNone" : others.length ? "sayTie" : "sayRank";
    this.say(what, { key, rank, others: others.join(", ").toUpperCase() });
  }

  sayLine() { announce(filled(this.dataset.sayLine, { line: this.line.selectedOptions[0].textContent })); }

  say(what, { key, ...values }) { announce(filled(this.dataset[what], { key: key.toUpperCase(), ...values })); }
}

function filled(text, values) {
  return Object.entries(values).reduce((done, [name, value]) => done.replace(`{${name}}`, value), text);
}

customElements.define("ranking-board", RankingBoard);
