#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares real servers with tmpfs: the same work gives the same transcript.

    compare.py [--learn DIRECTORY] [--virtiofs MODULE] [PATTERN]

Prints TAP: a case for each server and each kind of work (see work.py). Where a
server behaves differently by itself, known/SERVER has the lines that differ, with
the reason. They must be exactly those that do: so the two modules behave alike
wherever the work looks, and the lists stay true. With --virtiofs the server is virtiofsd,
outside of the guest, whose device has the tag `shared`; with the MODULE c, its list is the one for
the C module. PATTERN picks cases by a part of
their names, where * stands for anything; --learn writes what differs there, to be given
reasons.
"""

import collections
import difflib
import fnmatch
import functools
import os
import resource
import shutil
import subprocess
import sys
import time

import work

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = '/opt/libfuse/build/example'
PLACE = '/tmp/names'
REFERENCE = f'{PLACE}/tmpfs'
# The kernel decides about users; files are what they say they are.
OPTIONS = 'allow_other,default_permissions,suid,dev'


def sh(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def mounted(directory):
    with open('/proc/self/mountinfo', encoding='utf-8') as table:
        return any(line.split()[4] == directory for line in table)


@functools.cache
def reference(name):
    """The transcript of work on tmpfs, whose tree stays there."""
    os.mkdir(f'{REFERENCE}/{name}')
    transcript = work.run(name, f'{REFERENCE}/{name}')
    # Two transcripts that broke off at the same place are the same, and say nothing.
    for line in transcript:
        if line.startswith('BROKE:'):
            raise RuntimeError(f'{name} does not come to its end on tmpfs: {line}')
    return transcript


def by_work(server, name):
    """What differs when the work is done on the server."""
    os.mkdir(f'{server.top}/{name}')
    return difference(work.run(name, f'{server.top}/{name}'), reference(name))


def by_tree(server, name):
    """What differs when the server shows the tree that the work left on tmpfs."""
    ours, theirs = work.Transcript(), work.Transcript()
    work.dump(ours, f'{server.top}/{name}')
    work.dump(theirs, f'{REFERENCE}/{name}')
    return difference(ours.lines, theirs.lines)


class Server:
    """A server that runs in the background, for the time of a `with`."""

    def __init__(self, name, command, prepare=None, skip=(), begin=None, compare=by_work, top='',
                 known=None):
        self.name, self.command, self.prepare, self.skip = name, command, prepare, skip
        self.begin, self.compare = begin, compare
        self.known = known or name
        self.source, self.place = f'{PLACE}/{name}.source', f'{PLACE}/{name}'
        # The directory that the work is done in.
        self.top = f'{self.place}{top}'
        self.process = None

    def __enter__(self):
        os.makedirs(self.source)
        os.makedirs(self.place)
        if self.prepare:
            self.prepare(self)
        command = [word.format(source=self.source, place=self.place) for word in self.command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=open(f'{PLACE}/{self.name}.log', 'wb'),
                                        stderr=subprocess.STDOUT)
        for _ in range(300):
            if mounted(self.place):
                if self.begin:
                    self.begin(self)
                return self
            if self.process.poll() not in (None, 0):
                break
            time.sleep(0.1)
        with open(f'{PLACE}/{self.name}.log', encoding='utf-8', errors='replace') as log:
            raise RuntimeError(f'{self.name} does not mount: {log.read()}')

    def __exit__(self, *_):
        if mounted(self.place):
            for _ in range(50):
                if subprocess.run(['umount', self.place], check=False).returncode == 0:
                    break
                time.sleep(0.1)
            else:
                sh('umount', '-l', self.place)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.source, ignore_errors=True)


def make_ntfs(server):
    image = f'{server.source}/image'
    sh('truncate', '-s', '64M', image)
    sh('mkntfs', '-Q', '-F', '-q', image)


def forget_default_acl(server):
    """Takes the default ACL off the root.

    The root that mkntfs makes has access entries that are inherited, as on Windows. ntfs-3g shows
    them as a default ACL that lets everybody do everything, and a default ACL stands in for the
    umask (the kernel leaves that to this server: FUSE_DONT_MASK). tmpfs begins without.
    """
    os.removexattr(server.place, work.DEFAULT)


def make_overlay(server):
    for part in ('lower', 'upper', 'work'):
        os.mkdir(f'{server.source}/{part}')


def make_archive(server):
    sh('mksquashfs', REFERENCE, f'{server.source}/image', '-quiet', '-no-progress',
       '-processors', '1')


def libfuse(example, *more):
    return [f'{EXAMPLES}/{example}', '-f', '{place}', '-o', OPTIONS, *more]


SERVERS = [
    Server('passthrough', libfuse('passthrough', '-o', 'modules=subdir,subdir={source}')),
    Server('passthrough_fh', libfuse('passthrough_fh', '-o', 'modules=subdir,subdir={source}')),
    Server('passthrough_ll', libfuse('passthrough_ll', '-o', 'source={source},xattr')),
    # It knows a file by its names, and lets what it said of one be believed for a second, even if
    # another has changed meanwhile: what is seen of links depends on the time.
    Server('bindfs', ['bindfs', '-f', '-o', 'allow_other,suid,dev', '{source}', '{place}'],
           skip=('links',)),
    Server('fuse-overlayfs',
           ['fuse-overlayfs', '-f', '-o', 'lowerdir={source}/lower,upperdir={source}/upper,'
            'workdir={source}/work,allow_other,suid,dev', '{place}'], make_overlay),
    Server('ntfs-3g', ['ntfs-3g', '-o', 'no_detach,permissions,acl,allow_other,suid,dev,'
                       'streams_interface=xattr', '{source}/image', '{place}'], make_ntfs,
           begin=forget_default_acl),
    # An archive of the trees that the work on tmpfs left has what they have. The server falls over
    # a symbolic link when an archive has extended attributes.
    Server('squashfuse', ['squashfuse', '-f', '-o', 'allow_other,suid,dev', '{source}/image',
                          '{place}'], make_archive, skip=('xattrs', 'acls', 'permissions'),
           compare=by_tree),
]

# virtiofsd does the work in a directory where a tmpfs is mounted outside of the guest, and
# which it announces: so nothing depends on the file systems of the host, and the mount for the
# directory is one of the kernel's own.
VIRTIOFS = {'name': 'virtiofs', 'command': ['mount', '-t', 'virtiofs', 'shared', '{place}'],
            'top': '/sub'}


def known(server):
    """What differs, as a multiset of `WORK LINE`."""
    path = f'{HERE}/known/{server}'
    if not os.path.exists(path):
        return collections.Counter()
    with open(path, encoding='utf-8') as lines:
        return collections.Counter(line.rstrip('\n') for line in lines
                                   if line.strip() and not line.startswith('#'))


def difference(ours, theirs):
    """The lines of a transcript that differ, with the sign of their side."""
    lines = difflib.unified_diff(theirs, ours, lineterm='', n=0)
    return [line for line in lines if not line.startswith(('---', '+++', '@@'))]


class Report:
    """TAP on the standard output."""

    def __init__(self):
        self.count = self.failed = 0

    def case(self, name, problems):
        self.count += 1
        self.failed += bool(problems)
        print(f'{"not ok" if problems else "ok"} {self.count} {name}')
        for problem in problems[:60]:
            print(f'#   {problem}')
        sys.stdout.flush()


def judge(report, server, name, differs, learned):
    """Compares what differs with what is known to."""
    now = collections.Counter(f'{name} {line}' for line in differs)
    before = collections.Counter({line: count for line, count in known(server.known).items()
                                  if line.startswith(f'{name} ')})
    if learned is not None:
        learned += [f'{name} {line}' for line in differs]
    report.case(f'{server.name}.{name}',
                [f'differs from tmpfs: {line}' for line in (now - before).elements()] +
                [f'does not differ any more: {line}' for line in (before - now).elements()])


def main(arguments):
    learn = None
    if arguments[:1] == ['--learn']:
        learn, arguments = arguments[1], arguments[2:]
        os.makedirs(learn, exist_ok=True)
    servers = SERVERS
    if arguments[:1] == ['--virtiofs']:
        servers = [Server(**VIRTIOFS, known='virtiofs.c' if arguments[1] == 'c' else 'virtiofs')]
        arguments = arguments[2:]
    pattern = f'*{arguments[0] if arguments else ""}*'
    os.umask(0o022)
    # Some servers hold a file open for each inode.
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
    os.makedirs(REFERENCE)
    report = Report()
    for server in servers:
        chosen = [name for name in work.WORK
                  if fnmatch.fnmatchcase(f'{server.name}.{name}', pattern)
                  and name not in server.skip]
        if not chosen:
            continue
        learned = None if learn is None else []
        try:
            for name in chosen:
                reference(name)
            with server:
                began = time.monotonic()
                for name in chosen:
                    # Tells which case it is, should the guest hang in it.
                    print(f'# begin {server.name}.{name}', flush=True)
                    judge(report, server, name, server.compare(server, name), learned)
            print(f'# {server.name} took {time.monotonic() - began:.0f} s')
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            report.case(f'{server.name}.runs', [str(error)])
        if learn is not None:
            with open(f'{learn}/{server.name}', 'w', encoding='utf-8') as file:
                file.write(''.join(line + '\n' for line in learned))
    print(f'1..{report.count}')
    return 0 if report.count else 2


sys.exit(main(sys.argv[1:]))
