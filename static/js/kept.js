// What was typed and the server has not acknowledged yet, kept in this browser for the person who typed it.
const PREFIX = "plumbline-kept:";
const LONGEST_MS = 30 * 24 * 3600 * 1000;

export function keep(name, content) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify({ ...content, at: Date.now() }));
  } catch {
    // No room, or storage is forbidden: the draft on the server is all there is.
  }
}

export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

export function forget(name) {
  try { localStorage.removeItem(PREFIX + name); } catch { /* nothing was kept either */ }
}

export function forgetPerson(person) {
  for (const name of names()) if (name.startsWith(`${person}:`)) forget(name);
}

export function forgetOld() {
  for (const name of names()) if (!(kept(name)?.at > Date.now() - LONGEST_MS)) forget(name);
}

function names() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length));
  } catch {
    return [];
  }
}
