#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""virtiofs: the driver and its mounts, on devices that virtiofsd serves.

    virtiofs.py [--module c|rust] [PATTERN]

Prints TAP. Needs the devices of scripts/test, in this order: `shared`, whose server announces a
mount in `sub`; `other`, whose server is dead in the end; one whose tag has a line feed; and another
`shared`. Every case passes on the C module of the same kernel, but for those that say what is wrong
there, which are of ours alone: they would hang. PATTERN picks cases by
a part of their names, where * stands for anything. Exits with 1 if a case failed.
"""

import contextlib
import ctypes
import errno
import fnmatch
import glob
import os
import mmap
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

DRIVER = '/sys/bus/virtio/drivers/virtiofs'
TREE = '/sys/fs/virtiofs'
# The number that the specification gives the device.
DEVICE_ID = '0x001a'

PLACE = '/tmp/virtiofs'
FSX = '/host/fsx'
# What scripts/virtiofsd reads.
ORDER = '/host/virtiofsd.order'
# Seconds in which a request has to be answered.
TIMEOUT = '/proc/sys/fs/fuse/default_request_timeout'
LIBC = ctypes.CDLL(None, use_errno=True)
MNT_FORCE, MNT_DETACH = 1, 2

CASES = []


class Failed(Exception):
    """What makes a case fail."""


def case(function):
    CASES.append(function)
    return function


def of_ours(function):
    """A case that says what is wrong in C, where it would hang for ever."""
    function.of_ours = True
    return case(function)


def expect(what, wanted, got):
    if wanted != got:
        raise Failed(f'{what}: wanted {wanted!r}, got {got!r}')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def errno_of(function, *arguments):
    """The name of the error that a call ends with, or None."""
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def tell(path, words):
    """Writes to a file of sysfs by one call, whose error is the caller's."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, words.encode())
    finally:
        os.close(file)


class Device:
    """One of the devices, by its place on the bus."""

    def __init__(self, pci):
        self.pci = pci

    @property
    def name(self):
        """As the bus of virtio names it, which counts anew when it comes back."""
        return os.path.basename(glob.glob(f'/sys/bus/pci/devices/{self.pci}/virtio*')[0])

    @property
    def index(self):
        return self.name.removeprefix('virtio')

    @property
    def tree(self):
        return f'{TREE}/{self.index}'

    def is_bound(self):
        return os.path.exists(f'{DRIVER}/{self.name}')

    def unbind(self):
        tell(f'{DRIVER}/unbind', self.name)

    def bind(self):
        tell(f'{DRIVER}/bind', self.name)


def devices():
    """All of them, in the order in which QEMU was told of them."""
    found = []
    for path in glob.glob('/sys/bus/virtio/devices/*'):
        if read(f'{path}/device').strip() == DEVICE_ID:
            found.append(os.path.basename(os.path.dirname(os.path.realpath(path))))
    return [Device(pci) for pci in sorted(found)]


class Events:
    """What the kernel tells of kobjects, for the time of a `with`."""

    NETLINK_KOBJECT_UEVENT = 15

    def __enter__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM,
                                    self.NETLINK_KOBJECT_UEVENT)
        self.socket.bind((0, 1))
        return self

    def __exit__(self, *_):
        self.socket.close()

    def of_tree(self):
        """Those of the tree that have come, as tuples of action, path and tag."""
        seen = []
        while select.select([self.socket], [], [], 0.3)[0]:
            words = self.socket.recv(8192).split(b'\0')
            pairs = dict(word.decode().split('=', 1) for word in words if b'=' in word)
            if pairs.get('DEVPATH', '').startswith('/fs/virtiofs/'):
                seen.append((pairs['ACTION'], pairs['DEVPATH'], pairs.get('TAG')))
        return seen


def mount(tag, place, options='', kind='virtiofs'):
    os.makedirs(place, exist_ok=True)
    if LIBC.mount(tag and tag.encode(), place.encode(), kind.encode(), 0, options.encode()):
        raise OSError(ctypes.get_errno(), 'mount')


def umount(place, flags=0):
    if LIBC.umount2(place.encode(), flags):
        raise OSError(ctypes.get_errno(), 'umount')


@contextlib.contextmanager
def mounted(tag, name='one'):
    """The directory where it is mounted, for the time of a `with`."""
    place = f'{PLACE}/{name}'
    mount(tag, place)
    try:
        yield place
    except BaseException:
        # What went wrong may hold it.
        umount(place, MNT_DETACH)
        raise
    umount(place)


def in_table(place):
    """The lines of the table of mounts that are at or below a place."""
    with open('/proc/self/mountinfo', encoding='utf-8') as table:
        return [line for line in table if f'{line.split()[4]}/'.startswith(f'{place}/')]


def order(server, word):
    """Sends a signal to the server of a device."""
    with open(f'{ORDER}.new', 'w', encoding='utf-8') as file:
        file.write(f'{server} {word}\n')
    os.rename(f'{ORDER}.new', ORDER)
    wait_for('the order', lambda: not os.path.exists(ORDER))


@contextlib.contextmanager
def stopped(server):
    """The server does not go on, for the time of a `with`."""
    order(server, 'STOP')
    try:
        yield
    finally:
        order(server, 'CONT')


@contextlib.contextmanager
def held(server):
    """The server answers nothing but a reset of its device, for the time of a `with`."""
    order(server, 'HOLD')
    try:
        yield
    finally:
        order(server, 'RELEASE')


@contextlib.contextmanager
def timeout_of_requests(seconds):
    """What a connection that begins meanwhile gets for its own."""
    before = read(TIMEOUT)
    tell(TIMEOUT, str(seconds))
    try:
        yield
    finally:
        tell(TIMEOUT, before)


def state_of(process):
    with open(f'/proc/{process.pid}/stat', encoding='utf-8') as file:
        return file.read().rsplit(')', 1)[1].split()[0]


@contextlib.contextmanager
def opened(path, flags):
    """A descriptor that is closed at the end, whatever the close says."""
    file = os.open(path, flags)
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            os.close(file)


def write_file(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def read_file(path):
    with open(path, 'rb') as file:
        return file.read()


class Setting:
    """What all cases know."""

    def __init__(self, module):
        self.module = module
        self.shared, self.other, self.bad, self.same = devices()


@case
def driver_shows_its_devices(setting):
    """Each device that is served has a directory with its tag, its queues, and itself."""
    wanted = sorted([setting.shared.index, setting.other.index])
    expect('the devices', wanted, sorted(os.listdir(TREE)))
    for device, tag in (setting.shared, 'shared'), (setting.other, 'other'):
        expect('its files', ['device', 'mqs', 'tag'], sorted(os.listdir(device.tree)))
        expect('its tag', f'{tag}\n', read(f'{device.tree}/tag'))
        expect('the mode of its tag', 0o444, os.stat(f'{device.tree}/tag').st_mode & 0o777)
        expect('the device', os.path.realpath(f'/sys/bus/virtio/devices/{device.name}'),
               os.path.realpath(f'{device.tree}/device'))
        expect('its queues', ['0', '1'], sorted(os.listdir(f'{device.tree}/mqs')))
        for queue, name in ('0', 'hiprio'), ('1', 'requests.0'):
            place = f'{device.tree}/mqs/{queue}'
            expect('the files of a queue', ['cpu_list', 'name'], sorted(os.listdir(place)))
            expect('the name of a queue', f'{name}\n', read(f'{place}/name'))
            # It has one queue for requests, which all processors use.
            last = int(read('/sys/devices/system/cpu/possible').strip().split('-')[-1])
            expect('the processors of a queue', ', '.join(map(str, range(last + 1))) + '\n',
                   read(f'{place}/cpu_list'))


@case
def driver_refuses_a_tag_with_a_line_feed(setting):
    """A tag is a word of mount(8) and of events."""
    expect('bound', False, setting.bad.is_bound())
    expect('to bind it', 'EINVAL', errno_of(setting.bad.bind))


@case
def driver_refuses_a_tag_that_is_there(setting):
    """Two devices with one tag could not be told from each other."""
    expect('bound', False, setting.same.is_bound())
    expect('to bind it', 'EEXIST', errno_of(setting.same.bind))
    setting.shared.unbind()
    setting.same.bind()
    expect('to bind the first then', 'EEXIST', errno_of(setting.shared.bind))
    expect('the tag', 'shared\n', read(f'{setting.same.tree}/tag'))
    setting.same.unbind()
    setting.shared.bind()


@case
def driver_tells_of_devices_that_come_and_go(setting):
    """The events have the tag, so that a rule may mount it; one comes when all is there."""
    device = setting.other
    path = f'/fs/virtiofs/{device.index}'
    with Events() as events:
        device.unbind()
        expect('what is told', [('remove', path, 'other')], events.of_tree())
        expect('there', False, os.path.exists(device.tree))
        device.bind()
        expect('what is told', [('add', path, 'other')], events.of_tree())
    expect('the tag', 'other\n', read(f'{device.tree}/tag'))


@case
def driver_binds_again_and_again(setting):
    """Nothing of a device is left when it is unbound."""
    for _ in range(30):
        setting.other.unbind()
        expect('there', [setting.shared.index], os.listdir(TREE))
        setting.other.bind()


@case
def driver_lets_a_device_be_taken_off(setting):
    """A device that is pulled out is gone; put back, it is a new one."""
    pci, index = setting.other.pci, setting.other.index
    tell(f'/sys/bus/pci/devices/{pci}/remove', '1')
    expect('there', [setting.shared.index], os.listdir(TREE))
    expect('its tree', False, os.path.exists(f'{TREE}/{index}'))
    tell('/sys/bus/pci/rescan', '1')
    wait_for('the device', lambda: glob.glob(f'/sys/bus/pci/devices/{pci}/virtio*'))
    wait_for('its driver', setting.other.is_bound)
    expect('the tag', 'other\n', read(f'{setting.other.tree}/tag'))


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} seconds')
        time.sleep(0.05)


def aliases(setting):
    """The names of the module besides its own."""
    path = '/host/virtiofs.ko' if setting.module == 'c' else '/host/fuse.ko'
    with open(path, 'rb') as file:
        return set(re.findall(rb'(?<=\0)alias=([^\0]+)', file.read()))


@case
def driver_has_the_name_that_udev_looks_for(setting):
    """The module is loaded when there is a device."""
    expect('it is one', True, b'virtio:d0000001Av*' in aliases(setting))


@case
def mount_has_the_name_that_mount_looks_for(setting):
    """The module is loaded when the first is mounted."""
    expect('it is one', True, b'fs-virtiofs' in aliases(setting))


@case
def mount_by_tag(setting):
    """The source of a mount is a tag; nothing is shown but what was asked for."""
    with mounted('shared') as place:
        table = in_table(place)
        expect('mounts', 1, len(table))
        expect('as the table has it', ['virtiofs', 'shared', 'rw'],
               table[0].split(' - ')[1].split())
        expect('its kind', True, 'virtiofs' in read('/proc/filesystems').split())
        write_file(f'{place}/file', b'words')
        expect('what was written', b'words', read_file(f'{place}/file'))
        os.unlink(f'{place}/file')
        expect('a name that is not there', 'ENOENT', errno_of(os.stat, f'{place}/file'))
        expect('statfs', True, os.statvfs(place).f_blocks > 0)


@case
def mount_refuses_what_it_cannot_do(setting):
    """A tag that no device has, no tag, options of others."""
    place = f'{PLACE}/bad'
    expect('no such tag', 'EINVAL', errno_of(mount, 'nothing', place))
    expect('no tag', 'EINVAL', errno_of(mount, None, place))
    expect('an option of another kind', 'EINVAL', errno_of(mount, 'shared', place, 'fd=3'))
    expect('the tag of one that is not bound', 'EINVAL', errno_of(mount, 'two\nlines', place))
    expect('memory that it does not have', 'EINVAL', errno_of(mount, 'shared', place, 'dax'))
    expect('the same', 'EINVAL', errno_of(mount, 'shared', place, 'dax=always'))
    expect('a way that there is not', 'EINVAL', errno_of(mount, 'shared', place, 'dax=maybe'))


@case
def mount_shows_how_memory_is_mapped(setting):
    """Only if it was said."""
    for word in 'never', 'inode':
        place = f'{PLACE}/dax'
        mount('shared', place, f'dax={word}')
        try:
            expect('as the table has it', f'rw,dax={word}', in_table(place)[0].split()[-1])
        finally:
            umount(place)


@case
def mount_twice_is_one(setting):
    """A device has one super block."""
    with mounted('shared') as one, mounted('shared', 'two') as two:
        expect('the number of the device', os.stat(one).st_dev, os.stat(two).st_dev)
        write_file(f'{one}/seen', b'')
        os.unlink(f'{two}/seen')


@case
def mount_of_two_devices(setting):
    """Each has its own files."""
    with mounted('shared') as one, mounted('other', 'two') as two:
        write_file(f'{one}/here', b'')
        expect('there', False, os.path.exists(f'{two}/here'))
        os.unlink(f'{one}/here')


@case
def mount_again_and_again(setting):
    """A device serves one mount after the other."""
    for number in range(50):
        with mounted('shared') as place:
            write_file(f'{place}/again', str(number).encode())
    with mounted('shared') as place:
        os.unlink(f'{place}/again')


@case
def umount_by_force_ends_nothing(setting):
    """The requests of a device cannot be taken back."""
    with mounted('shared') as place, open(f'{place}/held', 'wb') as file:
        expect('to unmount by force', 'EBUSY', errno_of(umount, place, MNT_FORCE))
        file.write(b'more')
        file.flush()
        os.unlink(f'{place}/held')


@case
def names(setting):
    """Names in every way, many of them, and the server's attributes."""
    with mounted('shared') as place:
        top = f'{place}/names'
        os.mkdir(top)
        wanted = [f'{number:04}-{"x" * (number % 200)}' for number in range(600)]
        for name in wanted:
            os.close(os.open(f'{top}/{name}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))
        expect('the names', wanted, sorted(os.listdir(top)))
        expect('the mode', 0o640, os.stat(f'{top}/{wanted[7]}').st_mode & 0o777)
        for name in wanted[::2]:
            os.rename(f'{top}/{name}', f'{top}/moved-{name[:4]}')
        os.symlink('x' * 3000, f'{top}/link')
        expect('the link', 'x' * 3000, os.readlink(f'{top}/link'))
        os.link(f'{top}/{wanted[1]}', f'{top}/hard')
        expect('the links', 2, os.stat(f'{top}/hard').st_nlink)
        os.setxattr(f'{top}/hard', 'user.value', b'v' * 3000)
        expect('the attribute', b'v' * 3000, os.getxattr(f'{top}/hard', 'user.value'))
        expect('a short room', 'ERANGE', errno_of(short_getxattr, f'{top}/hard'))
        expect('a long attribute', True,
               errno_of(os.setxattr, f'{top}/hard', 'user.long', b'v' * 65536) in
               (None, 'ENOSPC', 'E2BIG', 'EOPNOTSUPP'))
        os.utime(f'{top}/hard', ns=(5, 1234567890123456789))
        expect('the time', 1234567890123456789, os.stat(f'{top}/hard').st_mtime_ns)
        for entry in list(os.scandir(top)):
            os.unlink(entry.path)
        os.rmdir(top)


def short_getxattr(path):
    room = ctypes.create_string_buffer(10)
    if LIBC.getxattr(path.encode(), b'user.value', room, 10) < 0:
        raise OSError(ctypes.get_errno(), 'getxattr')


@case
def data_of_every_length(setting):
    """What was written is read, from the cache, past it, and by another mount."""
    dice = random.Random(1)
    with mounted('shared') as place:
        wanted = {}
        for length in 0, 1, 4095, 4096, 4097, 65537, 1 << 20, (3 << 20) + 5:
            wanted[length] = dice.randbytes(length)
            write_file(f'{place}/data{length}', wanted[length])
        for length, data in wanted.items():
            expect('from the cache', True, read_file(f'{place}/data{length}') == data)
    with mounted('shared') as place:
        for length, data in wanted.items():
            path = f'{place}/data{length}'
            expect(f'{length} bytes anew', True, read_file(path) == data)
            expect(f'{length} bytes past the cache', True, read_past(path, length) == data)
            os.unlink(path)
        path = f'{place}/past'
        memory = mmap.mmap(-1, 1 << 20)
        memory.write(data[:1 << 20])
        with opened(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT) as file:
            expect('written past the cache', 1 << 20, os.write(file, memory))
            # The server opens what it makes as it is told to, and its file system wants whole blocks.
            expect('read up to the end', 4096, len(read_at(file, (1 << 20) - 4096)))
        expect('what is there', True, read_file(path) == data[:1 << 20])
        os.unlink(path)


def read_at(file, offset):
    memory = mmap.mmap(-1, 1 << 16)
    return memory[:os.preadv(file, [memory], offset)]


def read_past(path, length):
    with opened(path, os.O_RDONLY | os.O_DIRECT) as file:
        memory = mmap.mmap(-1, max(length + 4095 & ~4095, 4096))
        done = 0
        while done < length:
            got = os.preadv(file, [memoryview(memory)[done:]], done)
            if not got:
                break
            done += got
        return memory[:done]


@case
def data_in_any_order(setting):
    """fsx: writes, truncations, mappings, holes, in an order that the dice give."""
    with mounted('shared') as place:
        ran = subprocess.run([FSX, '--ops', '1500', '--seed', '1', f'{place}/fsx'], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if ran.returncode:
            raise Failed(f'fsx: {ran.stdout[-600:]}')
        for entry in list(os.scandir(place)):
            if entry.name.startswith('fsx'):
                os.unlink(entry.path)


@case
def data_of_many_at_once(setting):
    """More requests than the queue has room for: they wait, and none is lost."""
    with mounted('shared') as place:
        def work(number):
            path = f'{place}/many{number}'
            data = bytes([number]) * (1 << 20)
            for _ in range(3):
                write_file(path, data)
                if read_past(path, len(data)) != data:
                    wrong.append(number)
            os.unlink(path)
        wrong = []
        threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect('files that are wrong', [], wrong)


@case
def nodes_are_forgotten(setting):
    """The server gets its inodes back."""
    with mounted('other') as place:
        os.mkdir(f'{place}/nodes')
        for number in range(1500):
            os.mkdir(f'{place}/nodes/{number}')
        tell('/proc/sys/vm/drop_caches', '2')
        expect('the nodes', 1500, len(os.listdir(f'{place}/nodes')))
        for number in range(1500):
            os.rmdir(f'{place}/nodes/{number}')
        os.rmdir(f'{place}/nodes')


@case
def submount_is_a_mount_of_its_own(setting):
    """What is mounted in the server's directory is mounted here, when a walk comes by."""
    with mounted('shared') as place:
        expect('mounts', 1, len(in_table(place)))
        write_file(f'{place}/sub/file', b'there')
        expect('mounts', 2, len(in_table(place)))
        expect('devices', True, os.stat(f'{place}/sub').st_dev != os.stat(place).st_dev)
        expect('what is there', b'there', read_file(f'{place}/sub/file'))
        os.unlink(f'{place}/sub/file')
        umount(f'{place}/sub')
        expect('mounts', 1, len(in_table(place)))
        os.listdir(f'{place}/sub')
        expect('mounts', 2, len(in_table(place)))


@case
def a_mount_outlives_its_device(setting):
    """What is asked of it fails then, and it can be unmounted; the device serves another."""
    device = setting.other
    with mounted('other') as place:
        write_file(f'{place}/left', b'left')
        with opened(f'{place}/left', os.O_RDONLY) as file:
            device.unbind()
            expect('a name', 'ENOTCONN', errno_of(os.stat, f'{place}/anything'))
            expect('a file', 'ENOTCONN', errno_of(os.fstatvfs, file))
        expect('to mount it', 'EINVAL', errno_of(mount, 'other', f'{PLACE}/none'))
        device.bind()
        with mounted('other', 'two') as again:
            expect('what is there', b'left', read_file(f'{again}/left'))
            os.unlink(f'{again}/left')


@case
def a_device_goes_while_it_is_used(setting):
    """Everybody who works there gets an error, and ends."""
    device = setting.other
    for turn in range(4):
        with mounted('other') as place:
            ends = []

            def work(number):
                try:
                    while True:
                        write_file(f'{place}/file{number}', b'x' * 70000)
                        os.stat(f'{place}/missing{number}') if number % 2 else None
                except FileNotFoundError:
                    ends.append('again')
                except OSError as error:
                    ends.append(errno.errorcode[error.errno])

            threads = [threading.Thread(target=work, args=(number,)) for number in (0, 2, 4, 6)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            device.unbind()
            for thread in threads:
                thread.join(30)
            expect('threads that have not ended', 0, sum(one.is_alive() for one in threads))
            expect('how they ended', {'ENOTCONN'}, set(ends) - {'ECONNABORTED', 'EIO'} |
                   {'ENOTCONN'})
        device.bind()
    with mounted('other') as place:
        for entry in list(os.scandir(place)):
            os.unlink(entry.path)


@case
def a_caller_waits_for_a_server_that_is_slow(setting):
    """What it has asked is answered when the server goes on."""
    with mounted('shared') as place:
        with stopped(0):
            caller = subprocess.Popen(['stat', '-c', '%F', f'{place}/sub'],
                                      stdout=subprocess.PIPE)
            time.sleep(1)
            expect('ended', None, caller.poll())
        expect('how it ended', 0, caller.wait(30))


@of_ours
def a_killed_caller_does_not_wait_for_the_server(setting):
    """It leaves; in C it stays until the server answers."""
    with mounted('shared') as place, stopped(0):
        caller = subprocess.Popen(['stat', f'{place}/anything'])
        wait_for('to be asked', lambda: state_of(caller) in 'SD', 5)
        time.sleep(0.3)
        caller.kill()
        expect('how it ended', -signal.SIGKILL, caller.wait(5))


@of_ours
def a_request_that_is_not_answered_times_out(setting):
    """The device is reset before its callers get an error, so that it writes nothing to them any more.
    In C it still has their memory, and writes the answers there when it goes on."""
    place, mark = f'{PLACE}/late', b'm' * 65536
    with timeout_of_requests(15):
        mount('other', place)
        write_file(f'{place}/late', b'x' * len(mark))
    memory = mmap.mmap(-1, len(mark))
    memory.write(mark)
    ends = {}

    def work(name, call, *arguments):
        ends[name] = errno_of(call, *arguments)

    with opened(f'{place}/late', os.O_RDONLY | os.O_DIRECT) as file:
        with held(1):
            threads = [threading.Thread(target=work, args=work_of, daemon=True) for work_of in (
                ('read', os.preadv, file, [memory], 0),
                ('stat', os.stat, f'{place}/missing'),
                ('statfs', os.fstatvfs, file))]
            for thread in threads:
                thread.start()
            time.sleep(2)
            expect('ended', {}, ends)
            for thread in threads:
                # The connection is looked at each 15 seconds.
                thread.join(45)
            expect('how they ended', dict.fromkeys(('read', 'stat', 'statfs'), 'ECONNABORTED'), ends)
            expect('what comes then', 'ENOTCONN', errno_of(os.stat, f'{place}/missing'))
        time.sleep(1)
        expect('the memory of a caller as it was', True, memory[:] == mark)
    umount(place)
    expect('to mount one that was reset', 'EINVAL', errno_of(mount, 'other', place))
    setting.other.unbind()
    setting.other.bind()
    with mounted('other') as place:
        expect('what is there', len(mark), os.stat(f'{place}/late').st_size)
        os.unlink(f'{place}/late')


@of_ours
def a_dead_server_keeps_nobody(setting):
    """Callers that only ask can be killed, one who unmounts, too; all others end when the device is
    unbound. In C all of them wait for ever."""
    place = f'{PLACE}/dead'
    mount('other', place)
    os.stat(place)
    order(1, 'KILL')
    callers = [subprocess.Popen(['stat', f'{place}/missing{number}']) for number in range(4)]
    writer = subprocess.Popen(['sh', '-c', f'echo words >{place}/file'])
    time.sleep(1)
    for caller in callers + [writer]:
        expect('ended', None, caller.poll())
        caller.kill()
    for caller in callers:
        expect('how a caller ended', -signal.SIGKILL, caller.wait(5))
    # By now at the latest, if it was not only asking.
    setting.other.unbind()
    expect('how the writer ended', -signal.SIGKILL, writer.wait(10))
    expect('a name', 'ENOTCONN', errno_of(os.stat, f'{place}/missing'))
    umount(place)

    setting.other.bind()
    mount('other', place)
    # umount(8) would look at the file system first, and wait there.
    unmounter = subprocess.Popen([sys.executable, '-c', f"""
import ctypes
ctypes.CDLL(None).umount2({place.encode()!r}, 0)
"""])
    time.sleep(2)
    expect('unmounted', None, unmounter.poll())
    unmounter.kill()
    unmounter.wait(10)
    expect('mounts', 0, len(in_table(place)))
    expect('to mount one that was reset', 'EINVAL', errno_of(mount, 'other', place))
    setting.other.unbind()


def main(cases, make_setting):
    """Runs those of the cases that the arguments pick."""
    arguments = sys.argv[1:]
    module = 'c'
    if arguments[:1] == ['--module']:
        module = arguments[1]
        arguments = arguments[2:]
    pattern = f'*{arguments[0] if arguments else ""}*'
    chosen = [one for one in cases if fnmatch.fnmatchcase(one.__name__, pattern) and
              (module == 'rust' or not hasattr(one, 'of_ours'))]
    print(f'1..{len(chosen)}')
    setting = make_setting(module)
    failed = 0
    for number, one in enumerate(chosen, 1):
        print(f'# begin {one.__name__}', flush=True)
        start = time.monotonic()
        try:
            one(setting)
            print(f'ok {number} {one.__name__} # {time.monotonic() - start:.1f} s', flush=True)
        except (Failed, OSError, IndexError) as error:
            failed += 1
            print(f'not ok {number} {one.__name__}: {error}', flush=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main(CASES, Setting)
