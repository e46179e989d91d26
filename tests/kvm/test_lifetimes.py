# SPDX-License-Identifier: Apache-2.0
"""How objects end that nobody closed: dropped, in cycles, in children, with the interpreter."""

from __future__ import annotations

import copy
import gc
import itertools
import json
import pickle
import re
import weakref
from typing import Any

import pytest

from pykvm import VM, EventFd, GuestMemory, Interrupted, Kvm, KvmError, KvmExistsError
from pykvm._native import lib
from pykvm._vmcore import VmCore
from tests.kvm.footprint import unchanged
from tests.kvm.machines import DOORBELL_GPA, KNOCK, MEMORY_GPA, MEMORY_SIZE, Machine, prepare
from tests.kvm.processes import forked, python

pytestmark = pytest.mark.binding

UNCLOSED = "unclosed <VM fd"


def test_a_dropped_vm_warns_and_leaves_nothing(kvm: Kvm) -> None:
    with unchanged(), pytest.warns(ResourceWarning, match=UNCLOSED):
        kvm.create_vm()


def test_a_dropped_vm_takes_what_it_held(kvm: Kvm) -> None:
    with unchanged():
        vm = kvm.create_vm()
        slot = vm.add_memory(MEMORY_GPA, GuestMemory(MEMORY_SIZE))
        bell = vm.ioeventfd(DOORBELL_GPA, 4)
        with pytest.warns(ResourceWarning, match=UNCLOSED):
            del vm
        assert slot.closed
        assert bell.closed
        del slot


def test_vcpus_and_devices_outlive_a_dropped_vm(kvm: Kvm) -> None:
    with unchanged():
        vm = kvm.create_vm()
        vcpu = vm.create_vcpu(0)
        prepare(vcpu)
        with pytest.warns(ResourceWarning, match=UNCLOSED):
            del vm
        vcpu.kick()
        assert vcpu.run() == Interrupted()
        vcpu.close()
        del vcpu  # with it goes the VM's descriptor


def test_there_are_no_cycles(kvm: Kvm) -> None:
    """The last reference ends an object at once, without help from the collector."""
    gc.collect()
    gc.disable()
    try:
        with kvm.create_vm() as vm:
            made: list[Any] = [
                vm.create_vcpu(0),
                vm.ioeventfd(DOORBELL_GPA, 4),
                vm.add_memory(MEMORY_GPA, GuestMemory(MEMORY_SIZE)),
                EventFd(),
            ]
            ends = [weakref.ref(thing) for thing in made]
            made.clear()
        ends.append(weakref.ref(vm))
        del vm
        assert [end() for end in ends] == [None] * len(ends)
    finally:
        gc.enable()


def test_what_an_interrupted_call_made_is_closed(kvm: Kvm) -> None:
    """A signal handler may raise as the ioctl returns, when its result is all that there is."""

    def create_and_be_interrupted(fd: int, made: Any) -> int:
        lib.create_vm(fd, 0, made)
        raise KeyboardInterrupt

    with unchanged():
        core = VmCore(-1, 0)
        with pytest.raises(KeyboardInterrupt):
            core.receive(kvm._core, create_and_be_interrupted, "KVM_CREATE_VM")
        del core


class Device:
    """What users write: it holds objects, and the objects' callbacks lead back to it."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts
        self.me = self


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_in_a_cycle_in_every_order(kvm: Kvm, order: tuple[int, ...]) -> None:
    """The collector calls finalizers in an order of its own; whatever it is, nothing remains."""
    with unchanged():
        vm = kvm.create_vm()
        parts: list[object] = [
            vm,
            vm.create_vcpu(0),
            vm.ioeventfd(DOORBELL_GPA, 4),
            vm.add_memory(MEMORY_GPA, GuestMemory(MEMORY_SIZE)),
        ]
        held = [Device(parts[n]) for n in order]
        held[0].parts += tuple(held)
        del vm, parts, held
        with pytest.warns(ResourceWarning, match=UNCLOSED):
            gc.collect()


def test_a_cycle_takes_back_what_an_adopted_vm_would_keep(kvm: Kvm, vm: VM) -> None:
    """Whoever else has this VM open must not find slots or doorbells of the dead in it."""
    with unchanged(), EventFd() as ours:
        for _ in range(3):
            adopted = kvm.adopt_vm(vm)
            adopted.ioeventfd(DOORBELL_GPA, 4, eventfd=ours)
            adopted.add_memory(MEMORY_GPA, GuestMemory(MEMORY_SIZE))
            with pytest.raises(KvmExistsError):
                vm.ioeventfd(DOORBELL_GPA, 4)
            cycle = Device(adopted)
            del adopted, cycle
            with pytest.warns(ResourceWarning, match=UNCLOSED):
                gc.collect()


def test_a_failed_constructor_in_a_cycle(kvm: Kvm, vm: VM) -> None:
    with unchanged():
        try:
            vm.add_memory(1, GuestMemory(MEMORY_SIZE))
        except KvmError as refusal:
            cycle = Device(refusal, refusal.__traceback__)
        del cycle
        gc.collect()


def test_nothing_can_be_copied(kvm: Kvm, vm: VM, memory: GuestMemory) -> None:
    """A copy would own the same descriptor, and close it a second time."""
    things = [kvm, vm, memory, vm.add_memory(MEMORY_GPA, memory), vm.ioeventfd(DOORBELL_GPA, 4)]
    with vm.create_vcpu(0) as vcpu, EventFd() as eventfd:
        for thing in (*things, vcpu, eventfd):
            for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
                with unchanged(), pytest.raises(TypeError, match="cannot be copied or pickled"):
                    attempt(thing)


def test_subclasses(kvm: Kvm) -> None:
    """Attributes of their own, also a cycle, harm nothing."""

    class Bell(EventFd):
        pass

    with unchanged():
        bell = Bell.adopt(EventFd())
        bell.me = bell  # type: ignore[attr-defined]
        bell.signal(2)
        assert (type(bell), bell.read()) == (Bell, 2)
        del bell
        gc.collect()


def test_constructed_twice() -> None:
    with unchanged():
        for thing, again in (Kvm(), ()), (GuestMemory(4 << 20), (2 << 20,)):
            type(thing).__init__(thing, *again)  # type: ignore[arg-type]
            thing.close()


_SHUTDOWN = """
import gc, sys
from pykvm import EventFd, GuestMemory, Kvm
kvm = Kvm()
vm = kvm.create_vm()
memory = GuestMemory(1 << 20)
slot = vm.add_memory(0x100000, memory)
bell = vm.ioeventfd(0, 4)
vcpu = vm.create_vcpu(0)
view = vcpu.kvm_run
eventfd = EventFd()
"""
_ENDINGS = {
    "globals": "",
    "cycle": "class C: pass\nc = C(); c.me = c; c.all = (vm, slot, bell, vcpu, view)\ndel vm, slot",
    "module": "sys.modules['json_'] = type(sys)('json_')\nsys.modules['json_'].all = (vm, vcpu)",
    "builtins": "import builtins\nbuiltins.kept = (vm, vcpu, bell, slot, eventfd)",
    "no collector": "gc.disable(); l = [vm, bell, vcpu]; l.append(l)",
    "frozen": "l = [vm, bell, vcpu]; l.append(l); gc.freeze()",
    "atexit": "import atexit\natexit.register(vm.close)\nview.release()",
    "exit in a thread": (
        "import threading\n"
        "t = threading.Thread(target=lambda: eventfd.wait(), daemon=True); t.start()"
    ),
    "running thread": (
        "import platform, threading\n"
        "if platform.machine() == 'aarch64': vcpu.arm_vcpu_init()\n"
        "t = threading.Thread(target=lambda: vcpu.run(), daemon=True)\n"
        "vcpu.kick(); t.start()"
    ),
}


#: Starting an interpreter and importing pykvm takes longer than all the rest: one does it, and a
#: fork of it comes to each ending, which is that of an interpreter in full.
_FORKS = """
import json, os, pykvm
told = {}
for name, script in SCRIPTS.items():
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        exec(script)
        break  # to the end of this script, and of the interpreter
    os.close(writer)
    with open(reader) as stream:
        said = stream.read()
    told[name] = os.waitpid(child, 0)[1], said
else:
    print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def endings() -> dict[str, tuple[int, str]]:
    """The exit status of each ending, and what it said."""
    scripts = {name: _SHUTDOWN + script for name, script in _ENDINGS.items()}
    said = python(f"SCRIPTS = {scripts!r}\n{_FORKS}", "-X", "dev", "-W", "error")
    found: dict[str, tuple[int, str]] = json.loads(said)
    return found


@pytest.mark.parametrize("ending", _ENDINGS)
def test_the_interpreter_ends(ending: str, endings: dict[str, tuple[int, str]]) -> None:
    """With everything open: no crash, and nothing said but which VM was not closed."""
    status, said = endings[ending]
    complaints = re.findall(r"^\w*(?:Error|Warning|Fatal).*", said, re.MULTILINE)
    assert status == 0, said
    assert {line.rstrip("0123456789>") for line in complaints} <= {
        "ResourceWarning: unclosed <VM fd "
    }, said


def test_a_child_ends_with_what_it_inherited() -> None:
    """It takes nothing from the parent's VM, and says nothing."""
    machine = Machine(KNOCK)

    def child() -> None:
        machine._undo.pop_all()
        del machine.vm, machine.vcpu, machine.slot, machine.memory
        gc.collect()

    forked(child)
    machine.vcpu.kick()
    assert machine.vcpu.run() == Interrupted()
    machine.close()
