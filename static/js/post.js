// A POST to our own server. The body is a FormData or a plain object of strings.

// The cookie is newer than the page where somebody has signed in anew in another tab.
export function csrfToken() {
  const cookie = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  return cookie ?? JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
}

// A redirect is not followed: it leads to the sign-in page, and must not be taken for success.
export function post(url, body = {}, { keepalive = false, headers = {} } = {}) {
  const data = body instanceof FormData ? body : new URLSearchParams(body);
  const all = { "X-CSRFToken": csrfToken(), Accept: "application/json", ...headers };
  return fetch(url, { method: "POST", body: data, keepalive, headers: all, redirect: "manual" });
}
