"""Exit 0 if the web server in this container answers; the image's health check."""

from __future__ import annotations

import http.client

from config.env import env_list


def main() -> None:
    host = env_list("ALLOWED_HOSTS", ["localhost"])[0].lstrip(".")
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=4)
    connection.request("GET", "/health/", headers={"Host": host, "X-Forwarded-Proto": "https"})
    status = connection.getresponse().status
    if status != 200:
        raise SystemExit(f"the web server answers {status}; expected 200")


if __name__ == "__main__":
    main()
