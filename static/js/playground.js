// Answers as they are said, both sides at once. Without this the form brings whole answers.
import { announce } from "plumbline/announce";
import { post } from "plumbline/post";

const form = document.getElementById("ask");
const queue = document.getElementById("queue");
const readers = new Set();
let busy = false;

if (form) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name === "go_on") return;
    event.preventDefault();
    if (!busy) askBoth();
  });
  form.querySelector("[data-stop]").addEventListener("click", () => { for (const reader of readers) reader.cancel(); });
  queue.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.submitter);
  });
}

async function askBoth() {
  const [ask, stop] = [form.querySelector(".button--primary"), form.querySelector("[data-stop]")];
  busy = true;
  ask.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
  queue.hidden = true;
  queue.querySelector("[data-said]").hidden = true;
  await Promise.all([...document.querySelectorAll("[data-side]")].map((section) => {
    const choice = form.elements[section.dataset.side];
    section.hidden = !choice.value;
    section.querySelector("[data-body]").replaceChildren();
    if (section.hidden) return null;
    section.querySelector("[data-who]").textContent = choice.selectedOptions[0].textContent;
    stop.hidden = false;
    return askOne(section);
  }));
  busy = false;
  ask.removeAttribute("aria-disabled");
  if (document.activeElement === stop) ask.focus();
  stop.hidden = true;
  queue.hidden = !document.querySelector('[name="answer"]');
}

async function askOne(section) {
  const body = section.querySelector("[data-body]");
  const told = Object.assign(document.createElement("div"), { className: "answer__text", dir: "auto" });
  body.append(told);
  const data = new FormData(form);
  data.set("side", section.dataset.side);
  let last = null;
  try {
    const response = await post(form.dataset.stream, data);
    if (response.type === "opaqueredirect") return location.reload(); // signed out meanwhile
    if (!response.ok) return fail(section, (await response.json()).problem);
    for await (const line of lines(response)) {
      last = line;
      if (line.waiting && !told.textContent) note(body, form.dataset.sayStarting);
      if (line.text) {
        note(body, "");
        told.append(line.text);
      }
    }
  } catch {
    last = null;
  }
  if (last?.problem) return fail(section, last.problem);
  if (last?.html) {
    body.innerHTML = last.html;
    return say(form.dataset.sayDone, section);
  }
  if (last?.stopped) return note(body, form.dataset.sayStopped);
  return fail(section, form.dataset.sayBroken);
}

// The lines of JSON of a response; {"stopped"} where somebody pressed Stop before the last one.
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let stopped = false;
  const stop = { cancel: () => { stopped = true; reader.cancel(); } };
  readers.add(stop);
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const whole = (rest + value).split("\n");
      rest = whole.pop();
      for (const line of whole) yield JSON.parse(line);
    }
    if (stopped) yield { stopped: true };
  } finally {
    readers.delete(stop);
  }
}

function note(body, text) {
  let found = body.querySelector("[data-note]");
  if (!found && text) {
    found = Object.assign(document.createElement("p"), { className: "muted" });
    found.dataset.note = "";
    body.append(found);
  }
  if (found) found.textContent = text;
}

function fail(section, problem) {
  const notice = Object.assign(document.createElement("p"), { className: "notice", textContent: problem });
  notice.dataset.kind = "bad";
  section.querySelector("[data-note]")?.remove();
  section.querySelector("[data-body]").append(notice);
  say(form.dataset.sayFailed, section);
}

function say(text, section) { announce(text.replace("{side}", section.dataset.letter)); }

async function send(button) {
  const data = new FormData(queue, button);
  const said = queue.querySelector("[data-said]");
  let answer = { said: form.dataset.sayBroken, done: false };
  try {
    const response = await post(queue.action, data);
    if (response.type === "opaqueredirect") return location.reload();
    answer = await response.json();
  } catch { /* the server is away: said so */ }
  said.hidden = false;
  said.dataset.kind = answer.done ? "good" : "bad";
  said.textContent = answer.said;
}
