"""A small client of the Debug Adapter Protocol: what VS Code says to debugpy, said by a test."""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time


class Editor:
    """Starts a program under debugpy and speaks with it; every wait has an end.

    Order of the protocol: initialize, attach (answered last), "initialized", breakpoints, configurationDone. After
    "terminated" the program waits for a disconnect.
    """

    def __init__(self, program, kernels, patience=60):
        self.patience = patience
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{port}"]
        environment = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        environment.pop("MINIRES_KERNELS", None)
        if kernels is not None:
            environment["MINIRES_KERNELS"] = kernels
        self.process = subprocess.Popen(
            [*command, "--wait-for-client", str(program)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.socket = self.connect(port)
        self.number = 0
        self.messages = queue.Queue()
        self.put_aside = []
        threading.Thread(target=self.listen, args=(self.socket.makefile("rb"),), daemon=True).start()

    def connect(self, port):
        end = time.monotonic() + self.patience
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def listen(self, stream):
        while True:
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if length == 0:
                return
            self.messages.put(json.loads(stream.read(length)))

    def send(self, command, **arguments):
        self.number += 1
        message = {"seq": self.number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self.number

    def wait(self, fits):
        """Return the first message that fits; others wait their turn."""
        for message in self.put_aside:
            if fits(message):
                self.put_aside.remove(message)
                return message
        while True:
            message = self.messages.get(timeout=self.patience)
            if fits(message):
                return message
            self.put_aside.append(message)

    def answer(self, number):
        message = self.wait(lambda one: one["type"] == "response" and one["request_seq"] == number)
        assert message["success"], message
        return message.get("body", {})

    def ask(self, command, **arguments):
        return self.answer(self.send(command, **arguments))

    def event(self, *names):
        return self.wait(lambda one: one["type"] == "event" and one["event"] in names)

    def begin(self, breakpoints):
        """Attach, and set breakpoints: {path: lines}. Every one must be accepted."""
        self.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        attached = self.send("attach", justMyCode=True)
        self.event("initialized")
        for path, lines in breakpoints.items():
            wanted = [{"line": line} for line in lines]
            set_ = self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=wanted)["breakpoints"]
            assert all(one["verified"] for one in set_), set_
        self.ask("configurationDone")
        self.answer(attached)

    def stopped(self):
        """Wait for a stop; return (thread id, frames), or None where the program has ended."""
        event = self.event("stopped", "terminated")
        if event["event"] == "terminated":
            return None
        thread = event["body"]["threadId"]
        return thread, self.ask("stackTrace", threadId=thread)["stackFrames"]

    def press(self, key, thread):
        """next, stepIn, stepOut: press and wait for the stop."""
        self.ask(key, threadId=thread)
        return self.stopped()

    def value(self, expression, frame):
        return self.ask("evaluate", expression=expression, frameId=frame["id"], context="watch")["result"]

    def close(self):
        """Let the program end; return what it printed."""
        try:
            self.send("disconnect")
            return self.process.communicate(timeout=self.patience)[0]
        finally:
            self.process.kill()
            self.socket.close()
