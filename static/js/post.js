// A POST to our own server, with the page's CSRF token. The body is a FormData or a plain object of strings.
export function post(url, body = {}, { keepalive = false } = {}) {
  const data = body instanceof FormData ? body : new URLSearchParams(body);
  const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  return fetch(url, { method: "POST", body: data, keepalive, headers: { "X-CSRFToken": token, "Accept": "application/json" } });
}
