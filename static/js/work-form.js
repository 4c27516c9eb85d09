// <work-form> wraps the form of a piece of work: keeps a draft on the server while one types, keeps the lease alive,
// counts characters against the server's limit, and submits on Ctrl+Enter, once. Without it the form works as it is.
import { announce } from "plumbline/announce";
import { csrfToken, post } from "plumbline/post";

const QUIET_MS = 800;
const RETRY_MS = 5000;
const NOT_DRAFT = ["csrfmiddlewaretoken", "client_key"];

class WorkForm extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form#work");
    this.status = this.querySelector("[data-status]");
    this.started = Date.now();
    this.spent = Number(this.form.elements.seconds?.value || 0);
    for (const element of this.querySelectorAll("[data-needs-js]")) element.hidden = false;
    for (const area of this.form.querySelectorAll("textarea[data-limit]")) this.count(area);

    this.form.addEventListener("input", () => this.saveSoon(QUIET_MS));
    this.form.addEventListener("change", () => this.saveSoon(QUIET_MS));
    this.form.addEventListener("submit", (event) => this.submitOnce(event));
    this.onKey = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submit(event);
    };
    document.addEventListener("keydown", this.onKey);
    addEventListener("pagehide", () => this.flush());
    addEventListener("pageshow", () => { this.submitted = false; });
    this.heart = setInterval(() => this.beat(), Number(this.dataset.heartbeatSeconds) * 1000);
    document.getElementById("errors")?.scrollIntoView({ block: "center" });
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.onKey);
    clearInterval(this.heart);
    clearTimeout(this.timer);
  }

  submit(event) {
    event.preventDefault();
    this.form.requestSubmit();
  }

  submitOnce(event) {
    if (this.submitted) return event.preventDefault();
    this.submitted = true;
    clearTimeout(this.timer);
    this.timer = null;
    this.noteTime();
    this.form.elements.csrfmiddlewaretoken.value = csrfToken();
  }

  noteTime() {
    const field = this.form.elements.seconds;
    if (field) field.value = (this.spent + (Date.now() - this.started) / 1000).toFixed(1);
  }

  draft() {
    this.noteTime();
    const data = new FormData(this.form);
    for (const name of NOT_DRAFT) data.delete(name);
    return data;
  }

  saveSoon(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), delay);
  }

  async save() {
    this.timer = null;
    let answer;
    try {
      answer = await post(this.dataset.draftUrl, this.draft());
    } catch {
      answer = null;
    }
    if (this.submitted) return;
    if (answer?.ok) return this.say(this.dataset.saySaved);
    if (answer?.status === 409) return this.say((await answer.json()).refused, { aloud: true });
    const signedOut = answer?.type === "opaqueredirect";
    this.say(signedOut ? this.dataset.saySignedOut : this.dataset.sayUnsaved, { aloud: true });
    if (!this.timer) this.saveSoon(RETRY_MS);
  }

  flush() {
    if (!this.timer || this.submitted) return;
    clearTimeout(this.timer);
    this.timer = null;
    post(this.dataset.draftUrl, this.draft(), { keepalive: true });
  }

  async beat() {
    if (document.hidden) return;
    const answer = await post(this.dataset.heartbeatUrl).catch(() => null);
    if (answer?.ok && (await answer.json()).state === "expired") this.say(this.dataset.sayLate, { aloud: true });
  }

  say(text, { aloud = false } = {}) {
    if (aloud && this.status.textContent !== text) announce(text);
    this.status.textContent = text;
  }

  count(area) {
    const line = document.createElement("p");
    const limit = Number(area.dataset.limit);
    const number = new Intl.NumberFormat(document.documentElement.lang);
    line.className = "count";
    area.after(line);
    const show = () => {
      const length = [...area.value].length; // characters as the server counts them, not UTF-16 units
      line.textContent = this.dataset.sayCount.replace("{count}", number.format(length)).replace("{limit}", number.format(limit));
      line.toggleAttribute("data-over", length > limit);
    };
    area.addEventListener("input", show);
    show();
  }
}

customElements.define("work-form", WorkForm);
