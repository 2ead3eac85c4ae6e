# SPDX-License-Identifier: GPL-2.0
"""Name and attribute work, as transcripts.

Each function of WORK does something in an empty directory, and says call by call
what came of it; `dump` says what the directory looks like afterwards. On two file
systems that behave alike the transcripts are the same, byte for byte: nothing in
them depends on time, on inode numbers or on sizes of directories.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import stat
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
O_TMPFILE = getattr(os, 'O_TMPFILE', 0o20200000)
ACCESS, DEFAULT = 'system.posix_acl_access', 'system.posix_acl_default'
KINDS = {'FIFO': stat.S_IFIFO, 'SOCK': stat.S_IFSOCK, 'CHR': stat.S_IFCHR, 'BLK': stat.S_IFBLK,
         'REG': stat.S_IFREG}
# Times that every file system can keep: whole multiples of 100 ns.
THEN, LATER = 1_000_000_000_123_456_700, 1_234_567_890_000_000_000


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


class Transcript:
    """What happened, a line each."""

    def __init__(self):
        self.lines = []

    def say(self, *words):
        self.lines.append(' '.join(str(word) for word in words))

    def do(self, label, call, *args, **keywords):
        """Makes a call, and notes what it returned; file descriptors are closed."""
        try:
            result = call(*args, **keywords)
        except OSError as error:
            self.say(label, '->', name_of(error))
            return None
        if call in (os.open, tmpfile):
            os.close(result)
            result = 'ok'
        if isinstance(result, bytes):
            result = result.hex() if len(result) <= 64 else sha(result)
        self.say(label, '->', 'ok' if result is None else result)
        return result


def sha(data):
    return f'{len(data)}:{hashlib.sha1(data).hexdigest()[:16]}'


def renameat2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), 'renameat2')


def write(path, data, flags=os.O_WRONLY | os.O_CREAT, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def touch(path, mode=0o644):
    write(path, b'', mode=mode)


def tmpfile(path, mode=0o644):
    return os.open(path, O_TMPFILE | os.O_RDWR, mode)


def acl(*entries):
    """An ACL as the value of an extended attribute: (tag, permissions, id or None)."""
    tags = {'u': 1, 'U': 2, 'g': 4, 'G': 8, 'm': 16, 'o': 32}
    return struct.pack('<I', 2) + b''.join(
        struct.pack('<HHI', tags[tag], perm, 0xffffffff if who is None else who)
        for tag, perm, who in entries)


def as_user(out, uid, gid, work):
    """Runs `work` in a process of another user; its lines are added."""
    hear, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        theirs = Transcript()
        try:
            work(theirs)
        except BaseException as error:  # pylint: disable=broad-except
            theirs.say('broke:', repr(error))
        os.write(say, '\n'.join(theirs.lines).encode())
        os._exit(0)
    os.close(say)
    with os.fdopen(hear) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    for line in text.splitlines():
        out.say(f'{uid}:', line)


def describe(path):
    """One line for what is at `path`."""
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    words = [f'{st.st_mode:06o}', f'{st.st_uid}:{st.st_gid}']
    if kind != stat.S_IFDIR:
        words.append(f'links={st.st_nlink}')
    if kind == stat.S_IFREG:
        words.append(sha(read(path)))
    elif kind == stat.S_IFLNK:
        words.append('=> ' + os.readlink(path))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        words.append(f'{os.major(st.st_rdev)},{os.minor(st.st_rdev)}')
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        names = []
        if error.errno != errno.EOPNOTSUPP:
            words.append(f'listxattr:{name_of(error)}')
    for name in names:
        try:
            value = os.getxattr(path, name, follow_symlinks=False)
            words.append(f'{name}={value.hex() if len(value) <= 64 else sha(value)}')
        except OSError as error:
            words.append(f'{name}:{name_of(error)}')
    return ' '.join(words)


def dump(out, top):
    """Everything below `top`, in the order of the names."""
    def walk(path, shown):
        out.say(ascii(shown), describe(path))
        if stat.S_ISDIR(os.lstat(path).st_mode):
            names = os.listdir(path)
            if len(set(names)) != len(names):
                out.say(ascii(shown), 'has a name twice')
            for name in sorted(names):
                walk(f'{path}/{name}', f'{shown}/{name}')
    walk(top, '.')


def create(out):
    """Files, directories and special files, with modes and umasks."""
    for mode in (0o644, 0o600, 0o755, 0o777, 0o000, 0o4755, 0o2755, 0o1777, 0o6777):
        out.do(f'open {mode:o}', os.open, f'file-{mode:o}', os.O_CREAT | os.O_WRONLY, mode)
        out.do(f'mkdir {mode:o}', os.mkdir, f'dir-{mode:o}', mode)
    for mask in (0o000, 0o022, 0o077, 0o777):
        os.umask(mask)
        out.do(f'open, umask {mask:o}', os.open, f'masked-{mask:o}', os.O_CREAT | os.O_RDWR, 0o666)
        out.do(f'mkdir, umask {mask:o}', os.mkdir, f'masked-dir-{mask:o}', 0o777)
        out.do(f'mkfifo, umask {mask:o}', os.mkfifo, f'masked-fifo-{mask:o}', 0o666)
    os.umask(0o022)
    for kind, device in (('FIFO', 0), ('SOCK', 0), ('CHR', os.makedev(1, 3)),
                         ('BLK', os.makedev(7, 99)), ('REG', 0)):
        out.do(f'mknod {kind}', os.mknod, f'node-{kind}', KINDS[kind] | 0o640, device)
    out.do('open again, exclusive', os.open, 'file-644', os.O_CREAT | os.O_EXCL | os.O_RDWR)
    out.do('mkdir again', os.mkdir, 'dir-755')
    out.do('mkdir over a file', os.mkdir, 'file-644')
    out.do('mknod again', os.mknod, 'node-FIFO', stat.S_IFREG | 0o644)
    out.do('open a directory to write', os.open, 'dir-755', os.O_RDWR)
    out.do('create over a directory', os.open, 'dir-755', os.O_CREAT | os.O_WRONLY)
    out.do('O_DIRECTORY on a file', os.open, 'file-644', os.O_RDONLY | os.O_DIRECTORY)
    out.do('below a file', os.open, 'file-644/x', os.O_CREAT | os.O_WRONLY)
    out.do('below nothing', os.open, 'none/x', os.O_CREAT | os.O_WRONLY)
    out.do('open nothing', os.open, 'none', os.O_RDONLY)
    out.do('mkdir .', os.mkdir, '.')
    out.do('mkdir ..', os.mkdir, '..')
    out.do('mkdir dir/.', os.mkdir, 'dir-755/.')
    os.mkdir('sgid')
    os.chown('sgid', 0, 77)
    os.chmod('sgid', 0o2775)
    out.do('file in a set-group-id directory', touch, 'sgid/file')
    out.do('directory in a set-group-id directory', os.mkdir, 'sgid/dir')
    out.do('link in a set-group-id directory', os.symlink, 'file', 'sgid/link')


def names(out):
    """Names of every length and with every byte."""
    for length in (1, 100, 254, 255):
        out.do(f'{length} bytes', touch, 'n' * length)
        out.do(f'{length} bytes, directory', os.mkdir, 'd' * length)
        out.do(f'{length} bytes, renamed', os.rename, 'n' * length, 'm' * length)
    for length in (256, 1000):
        out.do(f'create {length} bytes', touch, 'n' * length)
        out.do(f'mkdir {length} bytes', os.mkdir, 'n' * length)
        out.do(f'stat {length} bytes', os.lstat, 'n' * length)
        out.do(f'rename to {length} bytes', os.rename, 'm', 'n' * length)
        out.do(f'symlink of {length} bytes', os.symlink, 'x', 'n' * length)
    for name in ('with space', ' leading', 'trailing ', '-dash', '.hidden', '...', "quote'", 'q"q',
                 'new\nline', 'tab\t', 'back\\slash', 'ünïcödé', '日本語', '😀', '*', '?', '#', '~'):
        out.do(f'create {ascii(name)}', touch, name)
        out.do(f'stat {ascii(name)}', lambda n=name: os.lstat(n).st_size)
    for name in ('Case', 'case', 'CASE'):
        out.do(f'create {name}', write, name, name.encode(), os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def links(out):
    """Hard links and symbolic links."""
    write('a', b'content of a')
    out.do('link', os.link, 'a', 'b')
    out.do('same inode', lambda: os.path.samefile('a', 'b'))
    out.do('link again', os.link, 'a', 'b')
    os.mkdir('dir')
    out.do('link into a directory', os.link, 'b', 'dir/c')
    out.do('link of a directory', os.link, 'dir', 'dir2')
    out.do('link of nothing', os.link, 'none', 'c')
    out.do('links', lambda: [os.stat(name).st_nlink for name in ('a', 'b', 'dir/c')])
    write('b', b' and more', os.O_WRONLY | os.O_APPEND)
    out.do('read through another', lambda: read('dir/c'))
    out.do('chmod through another', os.chmod, 'dir/c', 0o600)
    out.do('unlink', os.unlink, 'a')
    out.do('links', lambda: [os.stat(name).st_nlink for name in ('b', 'dir/c')])
    out.do('symlink', os.symlink, 'b', 's')
    out.do('symlink again', os.symlink, 'b', 's')
    out.do('read through symlink', lambda: read('s'))
    out.do('link of a symlink', os.link, 's', 's2', follow_symlinks=False)
    out.do('dangling', os.symlink, 'nothing/at/all', 'dangling')
    out.do('open dangling', os.open, 'dangling', os.O_RDONLY)
    out.do('create through dangling', os.open, 'dangling', os.O_CREAT | os.O_WRONLY)
    os.symlink('made-through-link', 'maker')
    out.do('create through a link', os.open, 'maker', os.O_CREAT | os.O_WRONLY, 0o644)
    out.do('exclusive through a link', os.open, 'maker', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    out.do('O_NOFOLLOW', os.open, 's', os.O_RDONLY | os.O_NOFOLLOW)
    os.symlink('loop-b', 'loop-a')
    os.symlink('loop-a', 'loop-b')
    out.do('loop', os.stat, 'loop-a')
    os.symlink('dir', 'to-dir')
    out.do('through a directory link', lambda: read('to-dir/c'))
    out.do('rmdir of a link', os.rmdir, 'to-dir')
    for length in (1, 255, 4095):
        out.do(f'target of {length}', os.symlink, 't' * length, f'long-{length}')
        out.do(f'readlink of {length}', lambda n=length: len(os.readlink(f'long-{n}')))
    out.do('target of 4096', os.symlink, 't' * 4096, 'long-4096')
    out.do('empty target', os.symlink, '', 'empty')
    out.do('readlink of a file', os.readlink, 'b')
    out.do('lchown of a link', os.lchown, 's', 12, 34)
    os.mkfifo('fifo')
    out.do('link of a fifo', os.link, 'fifo', 'fifo2')


def rename(out):
    """Moves, with every flag."""
    def fresh(*what):
        for path in os.listdir('.'):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        for path in what:
            if path.endswith('/'):
                os.mkdir(path[:-1])
            else:
                write(path, path.encode())

    def tree():
        found = []
        for top, dirs, files in os.walk('.'):
            found += [os.path.join(top, d) + '/' for d in dirs]
            found += [os.path.join(top, f) + '=' + read(os.path.join(top, f)).decode()
                      for f in files]
        return sorted(found)

    scenes = (
        ('to nothing', ('a',), 'a', 'b'),
        ('over a file', ('a', 'b'), 'a', 'b'),
        ('to itself', ('a',), 'a', 'a'),
        ('nothing', (), 'a', 'b'),
        ('dir to nothing', ('d/', 'd/x'), 'd', 'e'),
        ('dir over empty dir', ('d/', 'd/x', 'e/'), 'd', 'e'),
        ('dir over full dir', ('d/', 'e/', 'e/x'), 'd', 'e'),
        ('dir over file', ('d/', 'f'), 'd', 'f'),
        ('file over dir', ('f', 'd/'), 'f', 'd'),
        ('into a dir', ('f', 'd/'), 'f', 'd/g'),
        ('out of a dir', ('d/', 'd/f'), 'd/f', 'g'),
        ('between dirs', ('d/', 'd/f', 'e/'), 'd/f', 'e/f'),
        ('dir into itself', ('d/', 'd/e/'), 'd', 'd/e/f'),
        ('dir to its parent', ('d/', 'd/e/'), 'd/e', 'd'),
        ('to a missing dir', ('a',), 'a', 'none/b'),
        ('below a file', ('a', 'b'), 'a', 'b/c'),
        ('dir between dirs', ('d/', 'd/s/', 'd/s/x', 'e/'), 'd/s', 'e/s'),
    )
    for flags, word in ((0, ''), (NOREPLACE, 'noreplace'), (EXCHANGE, 'exchange'),
                        (WHITEOUT, 'whiteout'), (NOREPLACE | EXCHANGE, 'both'), (64, 'unknown')):
        for title, have, old, new in scenes if flags <= EXCHANGE else scenes[:3]:
            fresh(*have)
            out.do(f'{word} {title}', renameat2, old, new, flags)
            if flags != WHITEOUT:
                out.say(*tree())
            else:
                out.say(*(f'{n} {describe(n)}' for n in sorted(os.listdir('.'))))
    fresh('a')
    os.link('a', 'b')
    out.do('one link over another', os.rename, 'a', 'b')
    out.say(*tree())
    fresh()
    os.symlink('x', 'l')
    out.do('a symbolic link', os.rename, 'l', 'm')
    out.do('its target', os.readlink, 'm')
    fresh('a', 'd/')
    with open('a', 'rb') as held:
        os.rename('a', 'd/a')
        out.do('read what was moved while open', held.read)
        out.do('links of it', lambda: os.fstat(held.fileno()).st_nlink)
    fresh('a', 'b')
    with open('b', 'rb') as held:
        os.rename('a', 'b')
        out.do('read what was replaced while open', held.read)
    os.mkdir('sub')
    os.chdir('sub')
    os.rename('../sub', '../moved')
    out.do('cwd after its rename', lambda: os.path.basename(os.getcwd()))
    os.chdir('..')


def remove(out):
    """What goes, and what of it stays while it is open."""
    os.makedirs('d/e')
    touch('f')
    out.do('rmdir full', os.rmdir, 'd')
    out.do('unlink a directory', os.unlink, 'd/e')
    out.do('rmdir a file', os.rmdir, 'f')
    out.do('rmdir', os.rmdir, 'd/e')
    out.do('rmdir .', os.rmdir, 'd/.')
    out.do('rmdir ..', os.rmdir, 'd/..')
    out.do('unlink nothing', os.unlink, 'none')
    out.do('rmdir nothing', os.rmdir, 'none')
    write('open', b'before')
    fd = os.open('open', os.O_RDWR)
    out.do('unlink an open file', os.unlink, 'open')
    out.do('it is gone', os.stat, 'open')
    out.do('write to it', os.pwrite, fd, b'AFTER', 0)
    out.do('read of it', os.pread, fd, 100, 0)
    out.do('truncate it', os.ftruncate, fd, 3)
    out.do('chmod it', os.fchmod, fd, 0o640)
    out.do('size of it', lambda: os.fstat(fd).st_size)
    write('open', b'another')
    out.do('its successor', lambda: read('open'))
    os.close(fd)
    os.mkdir('cwd')
    os.chdir('cwd')
    out.do('rmdir of the cwd', os.rmdir, '../cwd')
    out.do('create in it', touch, 'x')
    out.do('list it', lambda: sorted(os.listdir('.')))
    os.chdir(TOP)
    for i in range(3):
        write('again', str(i).encode())
        out.do('the name, used again', lambda: read('again'))
        os.unlink('again')
        os.mkdir('again')
        out.do('now a directory', lambda: stat.S_ISDIR(os.stat('again').st_mode))
        os.rmdir('again')


def attributes(out):
    """chmod, chown, truncate and times."""
    touch('f')
    os.mkdir('d')
    for mode in (0, 0o1, 0o777, 0o4755, 0o2755, 0o2745, 0o1755, 0o7777, 0o644):
        for path in 'fd':
            out.do(f'chmod {path} {mode:o}', os.chmod, path, mode)
            out.do('mode', lambda p=path: f'{os.stat(p).st_mode:o}')
    for uid, gid in ((1, 2), (3, -1), (-1, 4), (-1, -1), (65534, 65534), (0, 0)):
        os.chmod('f', 0o6755)
        out.do(f'chown {uid}:{gid}', os.chown, 'f', uid, gid)
        out.do('after it', describe, 'f')
    os.symlink('f', 's')
    out.do('chown of a link', os.chown, 's', 5, 6, follow_symlinks=False)
    out.do('the link', describe, 's')
    out.do('the file', describe, 'f')
    for atime, mtime in ((THEN, LATER), (LATER, THEN), (0, 0), (1_000_000_000, 2 ** 31 * 10 ** 9)):
        out.do('utimens', os.utime, 'f', ns=(atime, mtime))
        out.do('times', lambda: (os.stat('f').st_atime_ns, os.stat('f').st_mtime_ns))
    out.do('utimens of a link', os.utime, 's', ns=(THEN, THEN), follow_symlinks=False)
    out.do('times of the link', lambda: os.lstat('s').st_mtime_ns)
    os.utime('d', ns=(THEN, LATER))
    out.do('times of the directory', lambda: (os.stat('d').st_atime_ns, os.stat('d').st_mtime_ns))
    touch('d/x')
    out.do('a new name changes them', lambda: os.stat('d').st_mtime_ns != LATER)
    write('data', bytes(range(256)) * 40)
    for size in (5000, 4096, 4095, 20000, 0, 1, 1 << 20, 10):
        out.do(f'truncate {size}', os.truncate, 'data', size)
        out.do('content', lambda: sha(read('data')))
    out.do('truncate a directory', os.truncate, 'd', 0)
    out.do('truncate to less than nothing', os.truncate, 'data', -1)
    out.do('O_TRUNC', os.open, 'data', os.O_WRONLY | os.O_TRUNC)
    out.do('its size', lambda: os.stat('data').st_size)
    fd = os.open('data', os.O_RDWR)
    os.pwrite(fd, b'end', 100_000)
    out.do('a hole', lambda: sha(read('data')))
    os.ftruncate(fd, 50_000)
    out.do('cut in the hole', lambda: sha(read('data')))
    os.fchmod(fd, 0o4755)
    os.fchown(fd, 1000, 1000)
    out.do('fchown drops set-user-id', lambda: f'{os.fstat(fd).st_mode:o}')
    os.close(fd)
    out.do('chmod of nothing', os.chmod, 'none', 0)
    out.do('utimens of nothing', os.utime, 'none')
    for mode in (0, 4, 2, 1, 6, 7):
        out.do(f'access {mode} of root', os.access, 'f', mode)


def xattrs(out):
    """Extended attributes of the user's and of root's."""
    touch('f')
    os.mkdir('d')
    os.symlink('f', 's')
    for path in 'fd':
        for name in ('user.a', 'user.b', 'user.' + 'n' * 200, 'trusted.t'):
            out.do(f'set {path} {name[:20]}', os.setxattr, path, name, b'value of ' + name.encode())
            out.do(f'get {path} {name[:20]}', os.getxattr, path, name)
        out.do(f'list {path}', lambda p=path: sorted(n[:20] for n in os.listxattr(p)))
    out.do('create what is there', os.setxattr, 'f', 'user.a', b'x', os.XATTR_CREATE)
    out.do('replace what is there', os.setxattr, 'f', 'user.a', b'y', os.XATTR_REPLACE)
    out.do('create', os.setxattr, 'f', 'user.c', b'x', os.XATTR_CREATE)
    out.do('replace what is not', os.setxattr, 'f', 'user.d', b'x', os.XATTR_REPLACE)
    out.do('empty', os.setxattr, 'f', 'user.empty', b'')
    out.do('get empty', os.getxattr, 'f', 'user.empty')
    out.do('binary', os.setxattr, 'f', 'user.bin', bytes(range(256)))
    out.do('get binary', os.getxattr, 'f', 'user.bin')
    out.do('get nothing', os.getxattr, 'f', 'user.none')
    out.do('remove', os.removexattr, 'f', 'user.a')
    out.do('remove again', os.removexattr, 'f', 'user.a')
    out.do('no name space', os.setxattr, 'f', 'nothing.a', b'')
    out.do('no name', os.setxattr, 'f', 'user.', b'')
    out.do('on a link', os.setxattr, 's', 'user.a', b'', follow_symlinks=False)
    out.do('list a link', os.listxattr, 's', follow_symlinks=False)
    out.do('too large', os.setxattr, 'f', 'user.large', b'x' * 65537)
    out.do('name too long', os.setxattr, 'f', 'user.' + 'n' * 251, b'')
    os.rename('f', 'g')
    out.do('after a rename', lambda: sorted(n[:20] for n in os.listxattr('g')))


def acls(out):
    """POSIX ACLs, their inheritance, and what they do to the mode."""
    touch('f', 0o640)
    minimal = acl(('u', 6, None), ('g', 4, None), ('o', 0, None))
    extended = acl(('u', 7, None), ('U', 5, 1000), ('g', 4, None), ('G', 6, 2000), ('m', 6, None),
                   ('o', 1, None))
    out.do('none', os.getxattr, 'f', ACCESS)
    out.do('set', os.setxattr, 'f', ACCESS, extended)
    out.do('get', os.getxattr, 'f', ACCESS)
    out.do('mode', lambda: f'{os.stat("f").st_mode:o}')
    os.chmod('f', 0o751)
    out.do('after chmod', os.getxattr, 'f', ACCESS)
    out.do('default of a file', os.setxattr, 'f', DEFAULT, extended)
    out.do('minimal', os.setxattr, 'f', ACCESS, minimal)
    out.do('get minimal', os.getxattr, 'f', ACCESS)
    out.do('mode', lambda: f'{os.stat("f").st_mode:o}')
    out.do('set again', os.setxattr, 'f', ACCESS, extended)
    out.do('remove', os.removexattr, 'f', ACCESS)
    out.do('get removed', os.getxattr, 'f', ACCESS)
    out.do('broken', os.setxattr, 'f', ACCESS, extended[:-3])
    out.do('without owner', os.setxattr, 'f', ACCESS, acl(('g', 4, None), ('o', 0, None)))
    out.do('without mask', os.setxattr, 'f', ACCESS,
           acl(('u', 7, None), ('U', 5, 1000), ('g', 4, None), ('o', 0, None)))
    os.mkdir('d')
    out.do('default', os.setxattr, 'd', DEFAULT, extended)
    out.do('get default', os.getxattr, 'd', DEFAULT)
    for mask in (0o022, 0o077):
        os.umask(mask)
        touch(f'd/f{mask:o}', 0o666)
        os.mkdir(f'd/d{mask:o}', 0o777)
        os.mkfifo(f'd/p{mask:o}', 0o666)
    os.umask(0o022)
    os.symlink('x', 'd/s')
    out.do('remove default', os.removexattr, 'd', DEFAULT)
    touch('d/after', 0o666)
    out.do('of a link', os.setxattr, 'd/s', ACCESS, extended, follow_symlinks=False)


def permissions(out):
    """What other users may do."""
    os.chmod('.', 0o755)
    for mode in (0o000, 0o420, 0o042, 0o640, 0o755):
        for uid, gid in ((1000, 1000), (0, 1000), (0, 0)):
            touch(f'f-{mode:o}-{uid}-{gid}')
            os.chown(f'f-{mode:o}-{uid}-{gid}', uid, gid)
            os.chmod(f'f-{mode:o}-{uid}-{gid}', mode)
    for mode in (0o755, 0o700, 0o711, 0o777, 0o1777, 0o733, 0o744):
        os.mkdir(f'd-{mode:o}')
        touch(f'd-{mode:o}/f')
        os.chmod(f'd-{mode:o}', mode)
    touch('acl', 0o600)
    granted = acl(('u', 6, None), ('U', 4, 1000), ('g', 0, None), ('m', 4, None), ('o', 0, None))
    out.do('an ACL', os.setxattr, 'acl', ACCESS, granted)

    def user(theirs):
        for path in sorted(os.listdir('.')):
            if path.startswith('f-'):
                may = ''.join(letter for bit, letter in ((4, 'r'), (2, 'w'), (1, 'x'))
                              if os.access(path, bit))
                theirs.say(path, may or 'nothing')
                theirs.do(f'open {path} to read', os.open, path, os.O_RDONLY)
                theirs.do(f'open {path} to write', os.open, path, os.O_WRONLY)
                theirs.do(f'chmod {path}', os.chmod, path, 0o666)
                theirs.do(f'chown {path}', os.chown, path, 1000, -1)
                theirs.do(f'utime {path}', os.utime, path)
            elif path.startswith('d-'):
                theirs.do(f'list {path}', lambda p=path: sorted(os.listdir(p)))
                theirs.do(f'stat in {path}', lambda p=path: os.stat(f'{p}/f').st_size)
                theirs.do(f'create in {path}', touch, f'{path}/mine')
                theirs.do(f'remove theirs in {path}', os.unlink, f'{path}/f')
                theirs.do(f'mkdir in {path}', os.mkdir, f'{path}/sub')
                theirs.do(f'move from {path}', os.rename, f'{path}/mine', f'{path}/moved')
                theirs.do(f'remove own in {path}', os.unlink, f'{path}/moved')
        theirs.do('read what an ACL lets', os.open, 'acl', os.O_RDONLY)
        theirs.do('write what it does not', os.open, 'acl', os.O_WRONLY)
        theirs.do('device', os.mknod, 'd-777/dev', stat.S_IFCHR | 0o666, os.makedev(1, 3))
        theirs.do('trusted', os.setxattr, 'f-755-1000-1000', 'trusted.x', b'')

    as_user(out, 1000, 1000, user)
    as_user(out, 1001, 1001, user)

    os.mkdir('own')
    os.chown('own', 1000, 1000)

    def owner(theirs):
        os.chdir('own')
        touch('f')
        theirs.do('set-group-id of own group', os.chmod, 'f', 0o2755)
        theirs.do('mode', lambda: f'{os.stat("f").st_mode:o}')
        theirs.do('chown to another', os.chown, 'f', 1001, -1)
        theirs.do('chgrp to another', os.chown, 'f', -1, 1001)
        theirs.do('chgrp to own', os.chown, 'f', -1, 1000)
        theirs.do('mode', lambda: f'{os.stat("f").st_mode:o}')
        os.chmod('f', 0o6755)
        write('f', b'a write drops the bits', os.O_WRONLY)
        theirs.do('mode', lambda: f'{os.stat("f").st_mode:o}')
        os.chmod('f', 0o6755)
        os.truncate('f', 3)
        theirs.do('mode after truncate', lambda: f'{os.stat("f").st_mode:o}')
        os.mkdir('theirs', 0o700)

    as_user(out, 1000, 1000, owner)
    os.chown('own/f', 1000, 2000)

    def not_in_group(theirs):
        theirs.do('set-group-id of another group', os.chmod, 'own/f', 0o2755)
        theirs.do('mode', lambda: f'{os.stat("own/f").st_mode:o}')

    as_user(out, 1000, 1000, not_in_group)


def deep(out):
    """A tree of many levels."""
    path = '.'
    for level in range(30):
        path = f'{path}/level-{level}'
        os.mkdir(path)
        if level % 10 == 0:
            write(f'{path}/file', str(level).encode())
    out.do('the deepest', lambda: stat.S_ISDIR(os.stat(path).st_mode))
    out.do('the name of the cwd there', lambda: (os.chdir(path), len(os.getcwd()) - len(TOP))[1])
    out.do('the way up', lambda: os.path.samefile('/'.join(['..'] * 30), TOP))
    os.chdir(TOP)
    out.do('rename of the top', os.rename, 'level-0', 'renamed')
    out.do('the deepest, by its new name',
           lambda: os.path.isdir(path.replace('./level-0', './renamed', 1)))
    out.do('by its old one', os.stat, path)
    shutil.rmtree('renamed/level-1/level-2/level-3')
    out.do('half of it removed', lambda: sorted(os.listdir('renamed/level-1/level-2')))


def many(out):
    """A directory with many names, read while it changes."""
    for i in range(300):
        touch(f'file-{i:04}')
    listed = os.listdir('.')
    out.do('all are listed, once', lambda: (len(listed), len(set(listed))))
    for i in range(0, 300, 3):
        os.unlink(f'file-{i:04}')
    out.do('a third is removed', lambda: len(os.listdir('.')))
    seen = []
    with os.scandir('.') as entries:
        for entry in entries:
            seen.append(entry.name)
            if entry.name.endswith('1'):
                os.unlink(entry.name)
    out.do('removed while it is read', lambda: (len(set(seen)), len(seen), len(os.listdir('.'))))
    for i in range(0, 300, 5):
        touch(f'file-{i:04}')
    kinds = {entry.is_file(follow_symlinks=False) for entry in os.scandir('.')}
    out.do('every one is a file', lambda: kinds)
    for name in os.listdir('.'):
        os.unlink(name)
    out.do('empty', lambda: os.listdir('.'))
    for i in range(7):
        os.mkdir(f'dir-{i}')
    out.do('links of a directory', lambda: os.stat('.').st_nlink)


def tmpfiles(out):
    """Files without a name."""
    out.do('O_TMPFILE', tmpfile, '.')
    out.do('on a file', tmpfile, '/dev/null')
    try:
        fd = tmpfile('.', 0o640)
    except OSError:
        return
    out.do('links', lambda: os.fstat(fd).st_nlink)
    os.write(fd, b'written before it has a name')
    out.do('nothing is listed', lambda: os.listdir('.'))
    out.do('link', os.link, f'/proc/self/fd/{fd}', 'named', follow_symlinks=True)
    os.close(fd)


WORK = {work.__name__: work for work in (
    create, names, links, rename, remove, attributes, xattrs, acls, permissions, deep, many,
    tmpfiles)}
TOP = ''


def run(work, top):
    """Does WORK[work] in `top`, an empty directory; returns the lines of its transcript."""
    hear, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        global TOP  # pylint: disable=global-statement
        TOP = top
        os.close(hear)
        out = Transcript()
        try:
            os.umask(0o022)
            os.chdir(top)
            WORK[work](out)
            os.chdir(top)
            dump(out, '.')
        except BaseException as error:  # pylint: disable=broad-except
            out.say('BROKE:', repr(error))
        with os.fdopen(say, 'w') as pipe:
            pipe.write('\n'.join(out.lines))
        os._exit(0)
    os.close(say)
    with os.fdopen(hear) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text.split('\n')
