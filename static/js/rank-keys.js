// The keys of the ranking page and the dialog that shows them: what each does, other keys for it, or none at all.
// The server keeps the choice, so it follows the person to another machine.
import { announce } from "plumbline/announce";
import { post } from "plumbline/post";

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
const PASSED = ["Tab", "Escape", "Enter", "Shift", "Control", "Alt", "AltGraph", "Meta"];

export class Shortcuts {
  constructor(dialog) {
    this.dialog = dialog;
    this.form = dialog.querySelector("form");
    this.fields = [...this.form.querySelectorAll("[data-action]")];
    this.switch = this.form.querySelector("[data-keys-on]");
    this.problem = this.form.querySelector("[data-problem]");
    this.take({ on: this.switch.checked, keys: Object.fromEntries(this.fields.map((field) => [field.name, field.dataset.action])) });
    for (const field of this.fields) field.addEventListener("keydown", (event) => this.typed(event, field));
    this.switch.addEventListener("change", () => this.save());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.querySelector("[data-keys-reset]").addEventListener("click", () => this.reset());
    dialog.querySelector("[data-close-keys]").addEventListener("click", () => dialog.close());
  }

  open() { this.dialog.showModal(); }

  take({ on, keys }) {
    this.on = on;
    this.actions = new Map(Object.entries(keys).map(([action, key]) => [key, action]));
    this.switch.checked = on;
    for (const field of this.fields) {
      field.dataset.action = keys[field.name];
      field.value = SIGNS[keys[field.name]] ?? keys[field.name].toUpperCase();
    }
  }

  action(key) { return this.actions.get(key.length === 1 ? key.toLowerCase() : key); }

  typed(event, field) {
    if (PASSED.includes(event.key) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.save({ [field.name]: event.key });
  }

  reset() {
    this.save(Object.fromEntries(this.fields.map((field) => [field.name, ""])));
  }

  async save(changed = {}) {
    const keys = Object.fromEntries(this.fields.map((field) => [field.name, field.dataset.action]));
    let answer;
    try {
      answer = await post(this.form.action, { ...keys, ...changed, on: this.switch.checked ? "yes" : "no" });
    } catch {
      answer = null;
    }
    if (!answer?.ok) return this.tell(this.form.dataset.sayUnsaved);
    const content = await answer.json();
    this.take(content);
    this.tell(content.refused ?? this.form.dataset.saySaved);
  }

  tell(text) {
    this.problem.textContent = text;
    announce(text);
  }
}
