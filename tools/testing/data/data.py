#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Data integrity: programs that check what they read, on servers that others wrote.

    data.py [--ring] [--virtiofs] [--seed N] [--part N] [PATTERN]

Prints TAP. Each case mounts a server on a directory of its own, works there, unmounts,
and looks whether the connection is gone. The cases `*.killed` kill the server in the
middle: whoever works there must get an error and end, and a new server must show what
was synced before. With --ring requests go over io_uring. With --virtiofs the cases are those of
virtiofsd, which serves the devices `shared` and `other` from outside of the guest, and is not
killed: QEMU has no way back to a device whose server has gone. PATTERN picks cases by a part of
their names, where * stands for anything; --part does one Nth of the work, for slow kernels; --seed throws the dice as in
the run that printed it. Exits with 1 if a case failed, with 2 if none could be run.
"""

import concurrent.futures
import contextlib
import ctypes
import filecmp
import fnmatch
import functools
import mmap
import os
import queue
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

EXAMPLES = '/opt/libfuse/build/example'
LIBFUSE = '/opt/libfuse'
FSX = '/host/fsx'
PLACE = '/tmp/data'
# The one place in the guest that is not in memory: its file system can zero a range.
DISK = '/var/tmp/data'
CONNECTIONS = '/sys/fs/fuse/connections'
# How large the folios of cached files may be.
FOLIO_ORDER = '/sys/module/fuse/parameters/max_folio_order'

PASSING_HP = [f'{EXAMPLES}/passthrough_hp', '--foreground']
HP = PASSING_HP + ['--nopassthrough']
SERVERS = {
    # Written through: nothing is believed for longer than it takes to say it.
    'through': HP + ['--nocache', '{source}', '{place}'],
    # Written back, and cached for ever.
    'back': HP + ['{source}', '{place}'],
    # The same without splices: the server copies what it reads and writes.
    'copied': HP + ['--nocache', '--nosplice', '{source}', '{place}'],
    # Past the page cache.
    'direct': HP + ['--direct-io', '{source}', '{place}'],
    # Not even asked: the kernel reads and writes the files that stand behind.
    'passing': PASSING_HP + ['{source}', '{place}'],
    # Written back, by a server that copies ranges, and takes O_DIRECT on files that are cached.
    'll': [f'{EXAMPLES}/passthrough_ll', '-f', '-o', 'source={source},writeback,cache=always',
           '{place}'],
    # Started outside of the guest.
    'virtiofs': [],
}
# Of the devices, one for each worker.
TAGS = ('shared', 'other')


class Failed(Exception):
    """What makes a case fail."""


class Setting:
    """What all cases know."""

    def __init__(self, seed, part, ring):
        self.seed, self.part, self.ring = seed, part, ring

    def times(self, number):
        return max(number // self.part, 1)

    def seconds(self, number):
        """How long something may take that takes a fraction of this if all is well."""
        return number * (1 if self.part == 1 else 4)

    def dice(self, name):
        return random.Random(f'{self.seed} {name}')


def mounted(place):
    with open('/proc/self/mountinfo', encoding='utf-8') as table:
        return any(line.split()[4] == place for line in table)


def inode(path):
    """The inode number of what is there, or None."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


class Server:
    """A directory that is served by a process, for the time of a `with`."""

    def __init__(self, kind, name, disk=False):
        base = f'{DISK if disk else PLACE}/{name}'
        self.source, self.place, self.log = f'{base}.source', f'{PLACE}/{name}.mnt', f'{base}.log'
        self.command = [word.format(source=self.source, place=self.place)
                        for word in SERVERS[kind]]
        self.process = self.connection = self.control = None
        self.passes_through = kind == 'passing'

    def path(self, name):
        return f'{self.place}/{name}'

    def __enter__(self):
        os.makedirs(self.source)
        os.makedirs(self.place)
        self.start()
        if self.passes_through:
            self.check_passing()
        return self

    def check_passing(self):
        """Checks that it is as it was asked for: the server would go on without. What is stored to
        a mapping is in the file behind at once, because that is mapped."""
        with open(self.path('passing'), 'w+b') as file:
            file.write(bytes(mmap.PAGESIZE))
            file.flush()
            with mmap.mmap(file.fileno(), 0) as area:
                area[:4] = b'seen'
                with open(f'{self.source}/passing', 'rb') as behind:
                    if behind.read(4) != b'seen':
                        raise Failed('nothing is passed through')
        os.unlink(self.path('passing'))

    def start(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        for _ in range(600):
            if mounted(self.place):
                # What fusectl calls it.
                self.connection = f'{CONNECTIONS}/{os.stat(self.place).st_dev}'
                self.control = inode(self.connection)
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        with open(self.log, encoding='utf-8', errors='replace') as log:
            raise Failed(f'the server does not mount: {log.read()}')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def kill_under(self, process, after):
        """Kills the server, `after` so many seconds, under a process that goes on till then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
            raise Failed(f'{process.args[0]} ends by itself\n{ended(process, 10)[1][-3000:]}')
        self.kill()

    def remount(self):
        """Takes the mount of a server that is dead away, and starts another."""
        self.unmount()
        self.start()

    def unmount(self):
        for _ in range(100):
            if subprocess.run(['umount', self.place], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(['umount', '-l', self.place], check=False)
            raise Failed('the mount stays busy')
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed('the server stays after the unmount') from None
        # Another case may have mounted since, and have got the same device number.
        if self.control is not None and inode(self.connection) == self.control:
            raise Failed('the connection stays after the unmount')

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.unmount()
        finally:
            if self.process.poll() is None:
                # It cannot hold up the other cases.
                self.kill()
            if mounted(self.place):
                subprocess.run(['umount', '-l', self.place], check=False)
            shutil.rmtree(self.source, ignore_errors=True)

    def left(self):
        """The names that are in the directory, as the server has them."""
        return os.listdir(self.source)


class Device(Server):
    """A directory on a virtiofs mount. Each worker has a device of its own, because a device has
    one super block, and nothing is unmounted while another case works there."""

    def __init__(self, name):
        super().__init__('virtiofs', name)
        self.tag = TAGS[WORKER.number]
        self.top = f'{PLACE}/{self.tag}.mnt'
        self.place = f'{self.top}/{name}'

    def __enter__(self):
        os.makedirs(self.source)
        os.makedirs(self.top, exist_ok=True)
        self.start()
        os.mkdir(self.place)
        return self

    def start(self):
        run('mount', '-t', 'virtiofs', self.tag, self.top, limit=60)
        self.connection = f'{CONNECTIONS}/{os.stat(self.top).st_dev}'
        self.control = inode(self.connection)

    def unmount(self):
        run('umount', self.top, limit=60)
        if mounted(self.top):
            raise Failed('the mount stays after the unmount')
        if self.control is not None and inode(self.connection) == self.control:
            raise Failed('the connection stays after the unmount')

    def __exit__(self, kind, *_):
        try:
            shutil.rmtree(self.place, ignore_errors=kind is not None)
            if kind is None:
                self.unmount()
        finally:
            if mounted(self.top):
                subprocess.run(['umount', '-l', self.top], check=False)
            shutil.rmtree(self.source, ignore_errors=True)

    def left(self):
        return os.listdir(self.place)


def served(kind, name, disk=False):
    """What serves a case of this kind."""
    return Device(name) if kind == 'virtiofs' else Server(kind, name, disk)


def run(*command, limit, cwd=None, env=None):
    """Runs a program that must succeed; what it says."""
    status, said = ended(start(*command, cwd=cwd, env=env), limit)
    if status != 0:
        tail = '\n'.join(said.splitlines()[-45:])
        raise Failed(f'{" ".join(command)[:200]}: exit status {status}\n{tail}')
    return said


def start(*command, cwd=None, env=None):
    return subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.PIPE, text=True,
                            errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True)


def ended(process, limit, line=None):
    """Waits for a program; its exit status and what it said."""
    try:
        said, _ = process.communicate(line, timeout=limit)
    except subprocess.TimeoutExpired:
        where = subprocess.run(['ps', '-eo', 'pid,stat,wchan:24,args'], check=False,
                               capture_output=True, text=True).stdout
        os.killpg(process.pid, signal.SIGKILL)
        busy = '\n'.join(line for line in where.splitlines() if '[' not in line)
        raise Failed(f'{process.args[0]} does not end within {limit} s\n{busy}') from None
    return process.returncode, said


CASES = {}


def case(*kinds, weight):
    """Makes a case of a function, for each kind of server; heavy cases begin first."""
    def register(work):
        for kind in kinds or ('',):
            name = '.'.join(filter(None, [work.__name__.replace('_', '.'), kind]))
            CASES[name] = (weight, functools.partial(work, kind) if kinds else work)
        return work
    return register


WORKER = threading.local()


@contextlib.contextmanager
def one_processor():
    """Keeps what is started meanwhile to one processor: where a process waits for its server all
    the time, and it for the process, another one is only far away."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(all_of_them)[WORKER.number % len(all_of_them)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


# One file, operations by chance

def fsx_case(mode, kind, ops, *more, disk=False):
    def work(setting, name):
        seed = setting.dice(name).randrange(1 << 30)
        with one_processor(), served(kind, name, disk) as server:
            # The seed is in what it says.
            return run(FSX, '--seed', str(seed), '--ops', str(setting.times(ops)), *more,
                       server.path('file'), limit=setting.seconds(900))
    CASES[f'fsx.{mode}'] = (100 if ops > 50000 else 20, work)


NO_MAPS = ('--never', 'mapread', '--never', 'mapwrite')
MAPS = ('--often', 'mapread', '--often', 'mapwrite')
fsx_case('through', 'through', 100_000, *NO_MAPS)
fsx_case('back', 'back', 100_000, *NO_MAPS)
fsx_case('direct', 'direct', 100_000, *NO_MAPS)
fsx_case('passing', 'passing', 20_000, *MAPS)
fsx_case('mmap', 'back', 100_000, *MAPS)
fsx_case('mmap-through', 'through', 5_000, *MAPS)
fsx_case('mmap-direct', 'direct', 5_000, *MAPS)
fsx_case('copy', 'll', 5_000, '--often', 'copy')
fsx_case('virtiofs', 'virtiofs', 50_000, *NO_MAPS)
fsx_case('mmap.virtiofs', 'virtiofs', 20_000, *MAPS)
fsx_case('copy.virtiofs', 'virtiofs', 5_000, '--often', 'copy', '--often', 'zero')
fsx_case('disk', 'back', 2_000, '--often', 'zero', '--often', 'sync', disk=True)


@case(weight=20)
def fsx_orders(setting, name):
    """Single pages, folios of four, and the largest that go into a request: what a file is cached in
    is decided when its inode is made. The C module has no such parameter, and does one turn."""
    seed = setting.dice(name).randrange(1 << 30)
    before = ''
    if os.path.exists(FOLIO_ORDER):
        with open(FOLIO_ORDER) as parameter:
            before = parameter.read().strip()
    said = ''
    try:
        for order in ('0', '2', '9') if before else ('',):
            if order:
                with open(FOLIO_ORDER, 'w') as parameter:
                    parameter.write(order)
            with one_processor(), Server('through', f'{name}{order}') as server:
                said += run(FSX, '--seed', str(seed), '--ops', str(setting.times(10_000)), *MAPS,
                            server.path('file'), limit=setting.seconds(900))
    finally:
        if before:
            with open(FOLIO_ORDER, 'w') as parameter:
                parameter.write(before)
    return said


@case('through', 'back', 'direct', weight=5)
def fsx_killed(kind, setting, name):
    with Server(kind, name) as server:
        dice = setting.dice(name)
        process = start(FSX, '--seed', str(dice.randrange(1 << 30)), '--ops', '100000000',
                        '--survive', *NO_MAPS, server.path('file'))
        server.kill_under(process, dice.uniform(2, 5))
        said = process.stdout.readline() + process.stdout.readline()
        while 'lost:' not in said:
            line = process.stdout.readline()
            if not line:
                raise Failed(f'fsx ends without an error\n{said}')
            said += line
        server.remount()
        status, more = ended(process, setting.seconds(120), '\n')
        if status != 0:
            raise Failed(said + more)
        return said + more


# fio: what was written can be told by its checksums

def fio_jobs(place, names, *, size='4m'):
    jobs = ['[global]', f'directory={place}', f'size={size}', 'verify=crc32c', 'verify_fatal=1',
            'verify_dump=0', 'bssplit=4k/40:16k/30:64k/30', 'iodepth=8', 'thread',
            'randrepeat=1', 'group_reporting']
    for name in names:
        engine, rw, cache = name.split('-')
        jobs += [f'[{name}]', 'stonewall', f'ioengine={engine}', f'rw={rw}',
                 f'direct={int(cache == "direct")}', 'end_fsync=1']
    return '\n'.join(jobs) + '\n'


ENGINES = [f'{engine}-{rw}-{cache}' for engine in ('psync', 'libaio', 'io_uring')
           for rw in ('write', 'randwrite') for cache in ('buffered', 'direct')]


def fio(setting, server, jobs, *more):
    file = f'{server.source}.fio'
    with open(file, 'w', encoding='utf-8') as out:
        out.write(jobs)
    return start('fio', '--minimal', f'--randseed={setting.seed}', *more, file)


@case('through', 'back', 'direct', 'll', 'passing', 'virtiofs', weight=40)
def fio_verify(kind, setting, name):
    with served(kind, name) as server:
        names = ENGINES if setting.part == 1 else ENGINES[::3]
        status, said = ended(fio(setting, server, fio_jobs(server.place, names)),
                             setting.seconds(400))
        if status != 0:
            raise Failed(f'fio: exit status {status}\n{said[-3000:]}')
        return f'{len(names)} jobs'


@case('through', 'copied', 'll', weight=20)
def fio_odirect(kind, setting, name):
    """The server opens its files as the callers do, with O_DIRECT, and they are on a disk: what it
    passes on by splices has to be in pages that a disk can take."""
    with Server(kind, name, disk=True) as server:
        names = [engine for engine in ENGINES if engine.endswith('-direct')]
        status, said = ended(fio(setting, server, fio_jobs(server.place, names, size='2m')),
                             setting.seconds(400))
        if status != 0:
            raise Failed(f'fio: exit status {status}\n{said[-3000:]}')
        return f'{len(names)} jobs'


@case('back', 'll', weight=5)
def fio_killed(kind, setting, name):
    with Server(kind, name) as server:
        kept = fio_jobs(server.place, ['psync-randwrite-buffered'])
        status, said = ended(fio(setting, server, kept, '--do_verify=0'), setting.seconds(120))
        if status != 0:
            raise Failed(f'fio: exit status {status}\n{said[-3000:]}')
        endless = fio_jobs(server.place, ['libaio-randwrite-direct', 'psync-write-buffered',
                                          'io_uring-randwrite-direct'], size='64m')
        process = fio(setting, server, endless.replace('stonewall\n', '') +
                      'time_based\nruntime=600\nfsync=20\n', '--do_verify=0')
        server.kill_under(process, setting.dice(name).uniform(4, 6))
        status, said = ended(process, setting.seconds(60))
        if status == 0:
            raise Failed(f'fio writes on without a server\n{said[-3000:]}')
        server.remount()
        status, said = ended(fio(setting, server, kept, '--verify_only'), setting.seconds(120))
        if status != 0:
            raise Failed(f'what was synced is lost: exit status {status}\n{said[-3000:]}')
        return 'killed'


# Git

GIT = {**os.environ, 'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b', 'GIT_COMMITTER_NAME': 'a',
       'GIT_COMMITTER_EMAIL': 'a@b', 'GIT_CONFIG_NOSYSTEM': '1', 'GIT_CONFIG_COUNT': '3',
       'GIT_CONFIG_KEY_0': 'core.fsync', 'GIT_CONFIG_VALUE_0': 'all',
       'GIT_CONFIG_KEY_1': 'gc.auto', 'GIT_CONFIG_VALUE_1': '0',
       'GIT_CONFIG_KEY_2': 'advice.detachedHead', 'GIT_CONFIG_VALUE_2': 'false'}


def git(where, *words, limit=300):
    return run('git', '-C', where, *words, env=GIT, limit=limit)


@functools.cache
def sources():
    """libfuse's sources, as a repository with some history."""
    origin = f'{PLACE}/origin'
    shutil.copytree(LIBFUSE, origin, symlinks=True, ignore=shutil.ignore_patterns('build', '.git'))
    git(origin, 'init', '-q', '-b', 'main')
    git(origin, 'add', '-A')
    git(origin, 'commit', '-q', '-m', 'all')
    git(origin, 'checkout', '-q', '-b', 'less')
    git(origin, 'rm', '-q', '-r', 'test', 'doc')
    git(origin, 'mv', 'lib/fuse.c', 'lib/moved.c')
    git(origin, 'commit', '-q', '-m', 'less')
    git(origin, 'checkout', '-q', 'main')
    return origin


SOURCES = threading.Lock()


def same_tree(ours, theirs):
    """Whether two directories hold the same, but for the repositories."""
    differs = []

    def look(pair):
        differs.extend(pair.left_only + pair.right_only + pair.common_funny)
        _, wrong, unread = filecmp.cmpfiles(pair.left, pair.right, pair.common_files, shallow=False)
        differs.extend(wrong + unread)
        for below in pair.subdirs.values():
            look(below)

    filecmp.clear_cache()
    look(filecmp.dircmp(ours, theirs, ignore=['.git', 'build']))
    if differs:
        raise Failed(f'{ours} is not as {theirs}: {differs[:10]}')


@case('through', 'back', 'direct', 'passing', 'virtiofs', weight=20)
def git_clone(kind, setting, name):
    with SOURCES:
        origin = sources()
    with one_processor(), served(kind, name) as server:
        clone = server.path('clone')
        # Through pack files, not by links or copies.
        run('git', 'clone', '-q', f'file://{origin}', clone, env=GIT, limit=setting.seconds(200))
        git(clone, 'fsck', '--full', '--strict')
        same_tree(clone, origin)
        git(clone, 'checkout', '-q', 'less')
        git(clone, 'checkout', '-q', '-f', 'main')
        git(clone, 'repack', '-q', '-a', '-d', '-f')
        git(clone, 'fsck', '--full', '--strict')
        if status := git(clone, 'status', '--porcelain'):
            raise Failed(f'git finds changes: {status}')
        same_tree(clone, origin)
        return git(clone, 'rev-parse', 'HEAD')


@case('through', 'back', weight=10)
def git_killed(kind, setting, name):
    with Server(kind, name) as server:
        repo = server.path('repo')
        run('git', 'init', '-q', '-b', 'main', repo, env=GIT, limit=setting.seconds(60))
        head = [None]
        error = []

        def work():
            number = 0
            while True:
                number += 1
                try:
                    with open(f'{repo}/f{number % 7}', 'w', encoding='utf-8') as file:
                        file.write(f'{number}\n' * 2000)
                    git(repo, 'add', '-A')
                    git(repo, 'commit', '-q', '-m', str(number))
                    head[0] = git(repo, 'rev-parse', 'HEAD').strip()
                except (Failed, OSError) as failure:
                    error.append(str(failure))
                    return

        worker = threading.Thread(target=work)
        worker.start()
        while head[0] is None and worker.is_alive():
            time.sleep(0.1)
        time.sleep(setting.dice(name).uniform(2, 4))
        if not worker.is_alive():
            raise Failed(f'git failed before the server was killed: {error}')
        server.kill()
        worker.join(setting.seconds(120))
        if worker.is_alive():
            raise Failed('git does not end without a server')
        server.remount()
        for lock in ('index.lock', 'HEAD.lock', 'refs/heads/main.lock'):
            if os.path.exists(f'{repo}/.git/{lock}'):
                os.unlink(f'{repo}/.git/{lock}')
        # What was committed is there, with all that it is made of.
        git(repo, 'fsck', '--full', '--no-dangling', head[0])
        git(repo, 'merge-base', '--is-ancestor', head[0], 'HEAD')
        return error[0].splitlines()[-1]


# SQLite

def fill(path, journal, count, dice, committed):
    """Transactions; after each, how many rows are there for sure."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    with contextlib.closing(connection) as base:
        base.execute(f'pragma journal_mode={journal}')
        base.execute('pragma synchronous=full')
        base.execute('pragma mmap_size=1048576')
        base.execute('create table if not exists t (n integer primary key, v blob, crc integer)')
        base.execute('create index if not exists i on t (crc)')
        n = 0
        while n < count:
            base.execute('begin immediate')
            for _ in range(20):
                n += 1
                value = dice.randbytes(dice.randrange(1, 3000))
                base.execute('insert into t values (?, ?, ?)', (n, value, sum(value)))
            if n > 100:
                base.execute('delete from t where n in (?, ?)', (n - 50, n - 90))
            base.execute('commit')
            committed[0] = n


def look_through(path, wanted):
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as base:
        if (found := base.execute('pragma integrity_check').fetchall()) != [('ok',)]:
            raise Failed(f'the integrity check says {found[:5]}')
        last = 0
        for n, value, crc in base.execute('select n, v, crc from t order by n'):
            last = n
            if sum(value) != crc:
                raise Failed(f'row {n} is not what was written')
        if last < wanted:
            raise Failed(f'{wanted} rows were committed, the last one is {last}')
        return f'{last} rows'


JOURNALS = ('delete', 'wal')


@case('through', 'back', 'direct', 'virtiofs', weight=10)
def sqlite(kind, setting, name):
    with one_processor(), served(kind, name) as server:
        said = []
        for journal in JOURNALS:
            path, committed = server.path(f'{journal}.db'), [0]
            fill(path, journal, setting.times(2000), setting.dice(name), committed)
            said.append(look_through(path, committed[0]))
        server.unmount()
        server.start()
        return ', '.join(said + [look_through(server.path(f'{journal}.db'), 0)
                                 for journal in JOURNALS])


# A process of its own: what is mapped of a dead server's file is a signal.
FILLER = '''
import random, sys
sys.path.insert(0, {here!r})
import data
class Tell(list):
    def __setitem__(self, at, n):
        print(n, flush=True)
data.fill({path!r}, {journal!r}, 10**9, random.Random({seed}), Tell([0]))
'''


@case('through', 'back', weight=5)
def sqlite_killed(kind, setting, name):
    said = []
    for journal in JOURNALS:
        with Server(kind, f'{name}.{journal}') as server:
            path, dice = server.path('db'), setting.dice(name)
            code = FILLER.format(here=os.path.dirname(os.path.abspath(__file__)), path=path,
                                 journal=journal, seed=dice.randrange(1 << 30))
            process = start(sys.executable, '-c', code)
            lines = [process.stdout.readline() for _ in range(3)]
            server.kill_under(process, dice.uniform(1, 3))
            status, more = ended(process, setting.seconds(60))
            lines += more.splitlines()
            if status == 0:
                raise Failed('SQLite writes on without a server')
            numbers = [int(line) for line in lines if line.strip().isdigit()]
            if not numbers:
                raise Failed(f'nothing was committed: {lines[-5:]}')
            server.remount()
            said.append(f'{look_through(path, numbers[-1])}, {lines[-1]}')
    return '\n'.join(said)


# A compilation

@case('', 'virtiofs', weight=110)
def libfuse_built(kind, setting, name):
    """libfuse, or a part of it, is compiled on a mount whose server is killed on the way, if it can
    be started again."""
    with SOURCES:
        origin = sources()
    with served(kind or 'back', name) as server:
        tree = server.path('tree')
        shutil.copytree(origin, tree, symlinks=True, ignore=shutil.ignore_patterns('.git'))
        run('sync', '-f', server.place, limit=setting.seconds(60))
        run('meson', 'setup', 'build', '-Dbuildtype=plain', '-Dexamples=false', '-Dtests=false',
            '-Dutils=false', '-Duseroot=false', cwd=tree, limit=setting.seconds(300))
        run('sync', '-f', server.place, limit=setting.seconds(60))
        ninja = ['ninja', '-C', f'{tree}/build', '-j', '2']
        targets = run(*ninja, '-t', 'targets', 'all', limit=setting.seconds(60)).split()
        objects = sorted(word[:-1] for word in targets if word.endswith('.c.o:'))
        if setting.part > 1:
            ninja += objects[:max(setting.times(len(objects)), 3)]
        process = start(*ninja)
        while kind != 'virtiofs' and process.poll() is None and not any(
                file.endswith('.o') for _, _, files in os.walk(f'{tree}/build') for file in files):
            time.sleep(0.5)
        if kind != 'virtiofs':
            if process.poll() is not None:
                raise Failed(f'ninja ended early\n{ended(process, 10)[1][-3000:]}')
            server.kill()
            status, said = ended(process, setting.seconds(120))
            if status == 0:
                raise Failed('ninja succeeds without a server')
            server.remount()
        elif (status := ended(process, setting.seconds(400))[0]) != 0:
            raise Failed(f'ninja: exit status {status}')
        same_tree(tree, origin)
        run(*ninja, limit=setting.seconds(400))
        if 'no work to do' not in (again := run(*ninja, limit=setting.seconds(60))):
            raise Failed(f'ninja would build again: {again}')
        # From the server, not from what is left in the page cache.
        server.unmount()
        server.start()
        if setting.part > 1:
            return run('size', *(f'{tree}/build/{word}' for word in ninja[5:]),
                       limit=setting.seconds(60))
        with open(f'{tree}/build/lib/libfuse3.so.4', 'rb') as library:
            shutil.copyfileobj(library, open(f'{PLACE}/library.so', 'wb'))
        version = ctypes.CDLL(f'{PLACE}/library.so').fuse_pkgversion
        version.restype = ctypes.c_char_p
        return version().decode()


# stress-ng

# A fixed number of operations of each, in small files.
STRESSORS = {
    'hdd': 200, 'seek': 200, 'iomix': 2, 'aio': 200, 'readahead': 400, 'sendfile': 100,
    'fallocate': 8, 'rename': 400, 'dentry': 1000, 'dir': 500, 'utime': 500, 'chmod': 100,
    'chown': 100, 'flock': 500, 'lockf': 200, 'locka': 200, 'lockofd': 200, 'getdent': 50,
    'xattr': 5, 'metamix': 5,
}
# These wait for locks. libfuse has one thread for each queue of a ring, which waits for the lock then,
# and so does the unlock that is in its queue: such a server hangs, with the C module, too.
BLOCKING = ['flock', 'lockf', 'locka', 'lockofd']
SIZES = ['--hdd-bytes', '2m', '--seek-size', '2m', '--iomix-bytes', '2m', '--readahead-bytes', '2m',
         '--sendfile-size', '1m', '--fallocate-bytes', '2m',
         '--dentries', '200', '--metamix-bytes', '1m']


def stress(setting, server, names, endless=False):
    words = []
    for name in names:
        words += [f'--{name}', '1', f'--{name}-ops',
                  '1000000' if endless else str(setting.times(STRESSORS[name]))]
    return start('stress-ng', '--temp-path', server.place, '--seed', str(setting.seed), '--verify',
                 '--timeout', '600', '--oomable', *SIZES, *words, cwd=server.place)


@case('through', 'back', 'virtiofs', weight=50)
def stress_fs(kind, setting, name):
    with served(kind, name) as server:
        names = [name for name in STRESSORS if not setting.ring or name not in BLOCKING]
        for first in range(0, len(names), 5):
            some = names[first:first + 5]
            status, said = ended(stress(setting, server, some), setting.seconds(300))
            if status != 0:
                raise Failed(f'stress-ng {" ".join(some)}: exit status {status}\n{said[-3000:]}')
        if left := server.left():
            raise Failed(f'stress-ng leaves {left[:5]}')
        return f'{len(names)} stressors'


@case('back', weight=5)
def stress_killed(kind, setting, name):
    with Server(kind, name) as server:
        kept = setting.dice(name).randbytes(300_000)
        with open(server.path('kept'), 'wb') as file:
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
        process = stress(setting, server, ['hdd', 'aio', 'seek'], endless=True)
        server.kill_under(process, setting.dice(name).uniform(3, 5))
        status, said = ended(process, setting.seconds(120))
        if status == 0:
            raise Failed(f'stress-ng succeeds without a server\n{said[-2000:]}')
        server.remount()
        with open(server.path('kept'), 'rb') as file:
            if file.read() != kept:
                raise Failed('what was synced is not what is there')
        return f'stress-ng: exit status {status}'


class Report:
    """TAP on the standard output; cases end in any order."""

    def __init__(self):
        self.count = self.failed = 0
        self.lock = threading.Lock()

    def begin(self, name):
        """Tells which case it is, should the guest hang in it."""
        with self.lock:
            print(f'# begin {name}', flush=True)

    def case(self, name, problem, notes, took):
        with self.lock:
            self.count += 1
            self.failed += problem is not None
            print(f'{"ok" if problem is None else "not ok"} {self.count} {name}')
            for line in (problem if problem is not None else notes or '').splitlines():
                print(f'#   {line}')
            print(f'#   {took:.0f} s', flush=True)


def refuse(why):
    """Ends before any case is run."""
    print(why, file=sys.stderr)
    sys.exit(2)


def main(arguments):
    seed, part = int(time.time()), 1
    ring = arguments[:1] == ['--ring']
    if ring:
        # libfuse's servers set a ring up if it is offered, and this says so.
        os.environ['FUSE_URING_ENABLE'] = '1'
        with open('/sys/module/fuse/parameters/enable_uring', 'w', encoding='ascii') as parameter:
            parameter.write('Y')
        arguments = arguments[1:]
    virtiofs = arguments[:1] == ['--virtiofs']
    arguments = arguments[virtiofs:]
    while arguments[:1] in (['--seed'], ['--part']):
        if len(arguments) < 2 or not arguments[1].isdigit() or int(arguments[1]) < 1:
            refuse(f'data.py: {arguments[0]} takes a number')
        if arguments[0] == '--seed':
            seed = int(arguments[1])
        else:
            part = int(arguments[1])
        arguments = arguments[2:]
    if len(arguments) > 1:
        refuse(__doc__)
    pattern = arguments[0] if arguments else ''
    chosen = sorted((-weight, name) for name, (weight, _) in CASES.items()
                    if name.endswith('virtiofs') == virtiofs
                    and fnmatch.fnmatchcase(name, f'*{pattern}*'))
    if not chosen:
        refuse(f"data.py: no case has '{pattern}' in its name")
    # One of the servers holds a file open for each inode.
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
    for place in (PLACE, DISK):
        os.makedirs(place)
    print(f'# seed {seed}, one part of {part}', flush=True)
    report, setting = Report(), Setting(seed, part, ring)
    waiting = queue.SimpleQueue()
    for _, name in chosen:
        waiting.put(name)

    def worker(number):
        WORKER.number = number
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            report.begin(name)
            began, problem, notes = time.monotonic(), None, None
            try:
                notes = CASES[name][1](setting, name)
            except Exception as failure:  # pylint: disable=broad-except
                problem = f'{type(failure).__name__}: {failure}'
            report.case(name, problem, notes, time.monotonic() - began)

    # Most of a case is one process that waits for another.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(worker, number) for number in range(2)]:
            done.result()
    print(f'1..{report.count}')
    return 0 if report.failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
