// <work-form> wraps the form of a piece of work: keeps what one types in the browser until the server has it, saves a
// draft there, keeps the lease alive, counts against the server's limit, and submits on Ctrl+Enter, once, trying again
// where the server is away. Without it the form works as it is.
import { announce } from "plumbline/announce";
import { forget, forgetOld, keep, kept } from "plumbline/kept";
import { NextPiece } from "plumbline/next-piece";
import { csrfToken, post } from "plumbline/post";

const QUIET_MS = 800;
const RETRY_MS = 5000;
const IDLE_MS = 120_000;
const NOT_DRAFT = ["csrfmiddlewaretoken", "client_key"]; // the first goes along as a header, and newer
const SIGNS_OF_LIFE = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "focus"];

class WorkForm extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form#work");
    this.status = this.querySelector("[data-status]");
    this.name = this.dataset.keptAs;
    this.changes = 0;
    this.gone = new AbortController();
    this.next = new NextPiece();
    for (const element of this.querySelectorAll("[data-needs-js]")) element.hidden = false;
    this.countPasted();
    this.restore();
    this.watchTime();
    for (const area of this.form.querySelectorAll("textarea[data-limit]")) this.count(area);

    this.form.addEventListener("input", () => this.changed());
    this.form.addEventListener("change", () => this.changed());
    this.form.addEventListener("submit", (event) => this.submitOnce(event));
    const { signal } = this.gone;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submit(event);
    }, { signal });
    document.addEventListener("submit", (event) => this.saveBeforeSigningOut(event), { capture: true, signal });
    addEventListener("pagehide", () => this.flush(), { signal });
    addEventListener("pageshow", () => { this.submitted = false; }, { signal });
    if (this.dataset.heartbeatUrl) this.heart = setInterval(() => this.beat(), Number(this.dataset.heartbeatSeconds) * 1000);
    document.getElementById("errors")?.scrollIntoView({ block: "center" });
    forgetOld();
  }

  disconnectedCallback() {
    this.gone.abort();
    clearInterval(this.heart);
    clearTimeout(this.timer);
  }

  // ── What was typed ──────────────────────────────────────────────────────────────────────────────────────────────

  entries() {
    const data = new FormData(this.form);
    for (const name of NOT_DRAFT) data.delete(name);
    return [...data];
  }

  content() {
    return JSON.stringify(this.entries().filter(([name, value]) => !["seconds", "pasted"].includes(name) && value));
  }

  changed() {
    if (!this.changes && this.dataset.nextUrl) this.next.load(this.dataset.nextUrl, this.dataset.kind);
    this.changes += 1;
    this.keepHere();
    this.saveSoon(QUIET_MS);
  }

  keepHere() {
    this.noteTime();
    keep(this.name, { entries: this.entries(), content: this.content(), base: this.dataset.version });
  }

  restore() {
    const found = kept(this.name);
    if (!found) return;
    if (found.content === this.content()) return document.getElementById("errors") || forget(this.name);
    if (found.base === this.dataset.version) return this.take(found);
    const offer = this.querySelector("[data-offer]");
    offer.hidden = false;
    offer.querySelector("[data-take]").addEventListener("click", () => { offer.hidden = true; this.take(found); });
    offer.querySelector("[data-drop]").addEventListener("click", () => { offer.hidden = true; forget(this.name); });
  }

  take({ entries }) {
    const values = new Map(entries);
    for (const field of this.form.elements) {
      if (!field.name || NOT_DRAFT.includes(field.name)) continue;
      if (field.type === "radio" || field.type === "checkbox") field.checked = values.get(field.name) === field.value;
      else field.value = values.get(field.name) ?? "";
      field.dispatchEvent(new Event(field.type === "radio" ? "change" : "input", { bubbles: true }));
    }
    for (const details of this.form.querySelectorAll("details")) {
      if ([...details.querySelectorAll("textarea")].some((area) => area.value)) details.open = true;
    }
    this.say(this.dataset.sayBack, { aloud: true });
    this.changes += 1;
    this.saveSoon(QUIET_MS);
  }

  // ── The draft on the server ─────────────────────────────────────────────────────────────────────────────────────

  saveSoon(delay) {
    if (!this.dataset.draftUrl) return this.say(this.dataset.sayKept);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), delay);
  }

  async save() {
    this.timer = null;
    const changes = this.changes;
    const answer = await this.post(this.dataset.draftUrl);
    if (this.submitted) return;
    if (answer?.ok) return this.saved(await answer.json(), changes);
    if (answer?.status === 409) return this.say((await answer.json()).refused, { aloud: true });
    const signedOut = answer?.type === "opaqueredirect";
    this.say(signedOut ? this.dataset.saySignedOut : this.dataset.sayUnsaved, { aloud: true });
    if (!this.timer) this.saveSoon(RETRY_MS);
  }

  saved(answer, changes) {
    this.dataset.version = answer.version;
    if (this.changes === changes) forget(this.name);
    else this.keepHere();
    this.say(this.dataset.saySaved);
    this.dispatchEvent(new CustomEvent("draft-saved", { detail: answer }));
  }

  flush() {
    if (!this.timer || this.submitted) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.post(this.dataset.draftUrl, { keepalive: true });
  }

  async saveBeforeSigningOut(event) {
    if (!this.timer || !new URL(event.target.action).pathname.endsWith("/logout/")) return;
    event.preventDefault();
    event.stopPropagation();
    clearTimeout(this.timer);
    await this.save();
    clearTimeout(this.timer);
    this.timer = null;
    event.target.requestSubmit();
  }

  // ── The submit ──────────────────────────────────────────────────────────────────────────────────────────────────

  submit(event) {
    event.preventDefault();
    this.form.requestSubmit();
  }

  submitOnce(event) {
    event.preventDefault();
    if (this.submitted) return;
    this.submitted = true;
    clearTimeout(this.timer);
    this.timer = null;
    this.keepHere();
    this.send();
  }

  async send() {
    const answer = await this.post(this.form.action, { whole: true, loaded: this.next.url });
    if (answer?.ok) {
      forget(this.name);
      const { next, said } = await answer.json();
      if (said && next === this.next.url) this.next.show(said);
      else location.assign(next);
    } else if (answer && answer.type !== "opaqueredirect" && answer.status < 500) {
      this.form.elements.csrfmiddlewaretoken.value = csrfToken();
      this.form.submit(); // refused, with reasons: the key is the same, so the page that says why is all that comes
    } else {
      this.say(answer?.type === "opaqueredirect" ? this.dataset.saySignedOut : this.dataset.sayNotSubmitted, { aloud: true });
      setTimeout(() => this.send(), RETRY_MS);
    }
  }

  // ── What was pasted, not typed ──────────────────────────────────────────────────────────────────────────────────

  // What one cut or copied here and puts elsewhere in the same form is one's own typing.
  countPasted() {
    const field = this.form.elements.pasted;
    if (!field) return;
    field.value ||= 0;
    let own = null;
    const add = (text) => { if (text !== own) field.value = Number(field.value) + [...text].length; };
    for (const kind of ["cut", "copy"]) this.form.addEventListener(kind, () => { own = String(getSelection()); });
    this.form.addEventListener("paste", (event) => add(event.clipboardData.getData("text/plain")));
    this.form.addEventListener("drop", (event) => add(event.dataTransfer.getData("text/plain")));
  }

  // ── Under way ───────────────────────────────────────────────────────────────────────────────────────────────────

  post(url, { keepalive = false, whole = false, loaded = "" } = {}) {
    this.noteTime();
    const data = new FormData(this.form);
    for (const name of whole ? NOT_DRAFT.slice(0, 1) : NOT_DRAFT) data.delete(name);
    return post(url, data, { keepalive, headers: { "X-Loaded": loaded } }).catch(() => null);
  }

  watchTime() {
    this.spent = Number(this.form.elements.seconds?.value || 0);
    this.seen = Date.now();
    const { signal } = this.gone;
    for (const sign of SIGNS_OF_LIFE) addEventListener(sign, () => this.noteTime(), { passive: true, capture: true, signal });
    document.addEventListener("visibilitychange", () => this.noteTime(), { signal });
  }

  // The time since the last sign of life counts, but not all of a long absence, and not while the page is out of sight.
  noteTime() {
    const now = Date.now();
    if (!this.away) this.spent += Math.min(now - this.seen, IDLE_MS) / 1000;
    this.seen = now;
    this.away = document.hidden;
    const field = this.form.elements.seconds;
    if (field) field.value = this.spent.toFixed(1);
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

  // ── Counts ──────────────────────────────────────────────────────────────────────────────────────────────────────

  count(area) {
    const line = document.getElementById(`${area.id}_helptext`);
    const limit = Number(area.dataset.limit);
    const number = new Intl.NumberFormat(document.documentElement.lang);
    const words = new Intl.Segmenter(document.documentElement.lang, { granularity: "word" });
    const others = [...this.form.querySelectorAll(`[data-counts-in="${area.name}"]`)];
    const show = () => {
      const texts = [area, ...others.filter((other) => other.closest("fieldset").checkVisibility())].map((each) => each.value);
      const length = texts.reduce((sum, text) => sum + [...text].length, 0); // characters as the server counts them
      const worded = texts.reduce((sum, text) => sum + [...words.segment(text)].filter((word) => word.isWordLike).length, 0);
      line.textContent = this.dataset.sayCount.replace("{count}", number.format(length))
        .replace("{limit}", number.format(limit)).replace("{words}", number.format(worded));
      line.toggleAttribute("data-over", length > limit);
    };
    line.classList.add("count");
    this.form.addEventListener("input", show);
    this.form.addEventListener("change", show);
    show();
  }
}

customElements.define("work-form", WorkForm);
