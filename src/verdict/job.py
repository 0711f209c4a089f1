"""``python -m verdict.job MODULE …``: what ``python -m MODULE …`` does, in a process that has torch already.

Importing torch takes about two seconds, longer than many jobs. The workflow therefore starts one server (``--serve``)
that imports it once and forks a child for every job: the child takes over the client's arguments, environment, folder
and output, imports the job's own module from disk, and runs it. The client waits for its exit code and hands on
SIGTERM; if the client is killed, so is the child, and if the workflow is, so is everything. The server never computes,
so that a fork is safe, and holds nothing of this package, so that jobs always run the code on disk.

Without a server (another machine, another system, one that has ended) the client runs the module itself.
"""

import contextlib
import importlib
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

PACKAGE = "verdict"
#: names the server's socket
ADDRESS = "VERDICT_JOB_SERVER"
#: what is told of a job at its end
TOOK = "{module} took {seconds:.1f} s, {busy:.1f} core seconds and at most {peak:.0f} MiB"
#: what a server has ready; numpy and safetensors come with them
PRELOADED = ("torch", "torch._dynamo", "safetensors.torch", "tokenizers")
#: a message is a length and so many bytes of JSON; the three standard streams travel with the first
HEADER = struct.Struct("!I")


def run_here(arguments: list[str]) -> None:
    """Run a module as ``python -m`` does; one that has done its work is followed by a line that tells what it took."""
    sys.argv, begun = arguments, time.monotonic()
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    busy = sum(one.ru_utime + one.ru_stime for one in (own, children))
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    peak = max(_peak() or own.ru_maxrss / unit, children.ru_maxrss / unit)
    line = TOOK.format(module=arguments[0], seconds=time.monotonic() - begun, busy=busy, peak=peak)
    print(line, file=sys.stderr, flush=True)


def _peak() -> float | None:
    """The most memory that this program has had resident, in MiB: on Linux the usage that is told goes on counting from
    the program that started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:")), None)


# ---------------------------------------------------------------------------------------------------------- the client


def run_there(address: str, arguments: list[str]) -> int | None:
    """Have the server run a module; its exit code (128 + signal if one ended it), or None if there is no server."""
    told = {"arguments": arguments, "path": sys.path, "folder": os.getcwd(), "environment": dict(os.environ)}
    content = json.dumps(told).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(address)
        except OSError:
            return None

        is_told, early = False, bytearray()  # signals that came before the server knew what to do with them

        def hand_on(number: int, frame: FrameType | None) -> None:
            if not is_told:
                early.append(number)
                return
            with contextlib.suppress(OSError):
                link.send(bytes([number]))

        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, hand_on)
        try:
            socket.send_fds(link, [HEADER.pack(len(content))], [0, 1, 2])
            link.sendall(content)
            is_told = True
            link.sendall(early)
            answer = link.recv(1)
        except OSError:
            answer = b""
    return answer[0] if answer else 128 + signal.SIGKILL


# ---------------------------------------------------------------------------------------------------------- the server


@dataclass
class Child:
    """A job that runs."""

    process: int
    descriptor: int  # of the process
    link: socket.socket


class Server:
    """Forks a child for every client; ends with the process that started it."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(address))
        self.listener.listen(256)
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}  # by the descriptor of their process

    def serve(self, parent: int) -> None:
        """Answer clients until the process ``parent`` ends; then end all children too."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)  # meant for the jobs, which get theirs
        workflow = os.pidfd_open(parent)
        for module in PRELOADED:
            importlib.import_module(module)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(workflow, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._take()
                elif key.fileobj == workflow:
                    self._end()
                    return
                else:
                    self._attend(key.data, key.fileobj)

    def _attend(self, child: Child, event: object) -> None:
        if self.children.get(child.descriptor) is not child:
            return  # its other event, of the same moment, has ended it
        if event is child.link:
            self._hear(child)
        else:
            self._reap(child)

    def _take(self) -> None:
        """Fork a child for a client."""
        link, _ = self.listener.accept()
        streams: list[int] = []
        try:
            header, streams, _, _ = socket.recv_fds(link, HEADER.size, 3)
            content = _receive(link, HEADER.unpack(header)[0])
            process = os.fork()
        except (OSError, struct.error, EOFError):  # a client that ended before it had said what it wants; or no process
            link.close()
            return
        else:
            if process == 0:
                self._become(json.loads(content), streams, link)
        finally:
            for stream in streams:
                os.close(stream)
        child = Child(process, os.pidfd_open(process), link)
        self.children[child.descriptor] = child
        self.selector.register(child.descriptor, selectors.EVENT_READ, child)
        self.selector.register(link, selectors.EVENT_READ, child)

    def _become(self, told: dict[str, object], streams: list[int], link: socket.socket) -> NoReturn:
        """In the child: turn into the job."""
        code = 1
        try:
            link.close()
            self.listener.close()
            self.selector.close()
            for child in self.children.values():
                os.close(child.descriptor)
                child.link.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, signal.default_int_handler if name == signal.SIGINT else signal.SIG_DFL)
            os.chdir(str(told["folder"]))
            os.environ.clear()
            os.environ.update(told["environment"])  # type: ignore[call-overload]
            sys.path[:] = told["path"]  # type: ignore[call-overload]
            for module in [module for module in sys.modules if module.partition(".")[0] == PACKAGE]:
                del sys.modules[module]  # the job's own are read from disk
            _name(told["arguments"][0])  # type: ignore[index]
            run_here(told["arguments"])  # type: ignore[arg-type]
            code = 0
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _hear(self, child: Child) -> None:
        """A client hands on a signal, or is gone: then its child is killed, as a shell's job would be."""
        try:
            told = child.link.recv(1)
        except OSError:
            told = b""
        signal.pidfd_send_signal(child.descriptor, told[0] if told else signal.SIGKILL)
        if not told:
            self._reap(child)

    def _reap(self, child: Child) -> None:
        """Tell the client how its child ended, and forget both."""
        del self.children[child.descriptor]
        self.selector.unregister(child.descriptor)
        self.selector.unregister(child.link)
        status = os.waitstatus_to_exitcode(os.waitpid(child.process, 0)[1])
        with contextlib.suppress(OSError):
            child.link.send(bytes([status if status >= 0 else 128 - status]))
        child.link.close()
        os.close(child.descriptor)

    def _end(self) -> None:
        for child in list(self.children.values()):
            signal.pidfd_send_signal(child.descriptor, signal.SIGKILL)
            self._reap(child)
        self.address.unlink(missing_ok=True)
        self.address.parent.rmdir()


def _name(module: str) -> None:
    """Tell lists of processes (ps, top) which job this is; they show 15 characters."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(module.removeprefix(f"{PACKAGE}.")[:15], encoding="utf-8")


def _receive(link: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = link.recv(size - len(content))
        if not part:
            raise EOFError
        content += part
    return content


def start_server() -> None:
    """Start a server for the jobs of this process and name it in the environment; Linux alone has what it needs."""
    import subprocess

    if not hasattr(os, "pidfd_open"):
        return
    address = Path(tempfile.mkdtemp(prefix="verdict-jobs-")) / "socket"  # a folder that no one else may enter
    command = [sys.executable, "-m", "verdict.job", "--serve", str(address), str(os.getpid())]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.environ[ADDRESS] = str(address)


def main() -> None:
    """The command line."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return
    if arguments[0] == "--serve":
        Server(Path(arguments[1])).serve(int(arguments[2]))
        return
    address = os.environ.get(ADDRESS)
    code = run_there(address, arguments) if address else None
    if code is None:
        run_here(arguments)
    else:
        sys.exit(code)


if __name__ == "__main__":
    main()
