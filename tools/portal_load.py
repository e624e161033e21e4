#!/usr/bin/env python3
"""Many users of a portal at once, for a while: how long pages take, and what fails.

    tools/portal_load.py http://127.0.0.1:8443 NAME PASSWORD SCAN [--users 50] [--seconds 60] [--ask]

Each user looks at the worklist, the models and the form, hands the scan in, sees it drawn, and with --ask asks the
model about it. Prints one line per kind of request: how many, how many failed, median and 95th percentile of the
milliseconds until the whole answer was there.
"""

import argparse
import collections
import http.client
import re
import statistics
import threading
import time
import urllib.parse


class User:
    def __init__(self, arguments, scan, times):
        self.place = urllib.parse.urlsplit(arguments.url).netloc
        self.arguments, self.scan, self.times, self.cookie = arguments, scan, times, ""

    def request(self, kind, method, path, body=b"", content="application/x-www-form-urlencoded", expected=200):
        started = time.monotonic()
        status, text, location = 0, "", ""
        try:
            line = http.client.HTTPConnection(self.place, timeout=60)
            line.request(method, path, body, {"Cookie": self.cookie, "Content-Type": content})
            answer = line.getresponse()
            text = answer.read().decode("utf-8", "replace")
            status, location = answer.status, answer.getheader("location", "")
            self.cookie = (answer.getheader("set-cookie") or self.cookie).split(";")[0]
            line.close()
        except OSError:
            pass
        self.times[kind].append((time.monotonic() - started, status == expected))
        return text, location

    def run(self, until):
        name, password = self.arguments.name, self.arguments.password
        form = urllib.parse.urlencode({"name": name, "password": password, "next": "/new"}).encode()
        self.request("sign in", "POST", "/sign-in", form, expected=303)
        while time.monotonic() < until:
            self.request("worklist", "GET", "/cases")
            self.request("models", "GET", "/models")
            page, _ = self.request("form", "GET", "/new")
            found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page), re.search(r'<option value="([^"]*)"', page)
            if not all(found):
                continue
            csrf, model = (one.group(1) for one in found)
            parts = [f'--edge\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
                     for key, value in (("csrf", csrf), ("model", model))]
            parts.append('--edge\r\nContent-Disposition: form-data; name="files"; filename="scan"\r\n\r\n')
            body = "".join(parts).encode() + self.scan + b"\r\n--edge--\r\n"
            content = "multipart/form-data; boundary=edge"
            _, draft = self.request("hand in", "POST", "/drafts", body, content, 303)
            path = draft.split("?")[0]
            self.request("picture", "GET", f"{path}/picture.png?frame=1")
            if self.arguments.ask:
                fields = f"csrf={csrf}&model={model}&frame=1".encode()
                self.request("ask", "POST", f"{path}/ask", fields, expected=303)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for positional in ("url", "name", "password", "scan"):
        parser.add_argument(positional)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--ask", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.scan, "rb") as file:
        scan = file.read()
    times = collections.defaultdict(list)
    until = time.monotonic() + arguments.seconds
    users = [threading.Thread(target=User(arguments, scan, times).run, args=(until,)) for _ in range(arguments.users)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for kind, found in times.items():
        taken = sorted(seconds * 1e3 for seconds, _ in found)
        failed = sum(1 for _, is_right in found if not is_right)
        share = taken[min(len(taken) - 1, int(len(taken) * 0.95))]
        print(f"{kind:10} {len(found):7} requests {failed:5} failed {statistics.median(taken):9.1f} ms {share:9.1f} ms")


if __name__ == "__main__":
    main()
