// SPDX-License-Identifier: GPL-2.0

//! Mount options: tables of the options that exist, and typed values.
//!
//! A file system has one `static` [`ParamTable`] that maps each option to a value of its own enum;
//! `fs_type` puts it into the file system type, for user space to see, and passes each [`Param`] to
//! the file system, which parses it with the table. The options of `mount(2)` arrive here one by
//! one as well: the VFS splits the string.
//!
//! C header: `include/linux/fs_parser.h`.

use crate::vfs::{
    bindings,
    cred::{
        Kgid,
        Kuid, //
    },
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    fs::{
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// A string of the kernel, freed with kfree.
///
/// # Invariants
///
/// It owns a NUL-terminated string that kmalloc allocated.
pub(crate) struct OwnedStr(NonNull<c_char>);

// SAFETY: Memory of kmalloc belongs to no thread.
unsafe impl Send for OwnedStr {}
// SAFETY: A shared reference only reads it.
unsafe impl Sync for OwnedStr {}

impl OwnedStr {
    /// Its bytes, without NUL.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: A string that is valid as long as this owns it.
        unsafe { CStr::from_char_ptr(self.0.as_ptr()) }.to_bytes()
    }

    pub(in crate::vfs) fn into_raw(self) -> *const c_char {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for OwnedStr {
    fn drop(&mut self) {
        // SAFETY: It came from kmalloc, and this owns it.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// Kinds of values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    String,
    U32,
    Uid,
    Gid,
    File,
}

/// One option of a [`ParamTable`].
#[derive(Clone, Copy)]
pub(crate) struct ParamSpec<O: Copy> {
    name: &'static CStr,
    kind: Kind,
    /// Base of a number; 0 derives it from the prefix of the number.
    base: usize,
    option: O,
}

impl<O: Copy> ParamSpec<O> {
    const fn new(name: &'static CStr, kind: Kind, base: usize, option: O) -> Self {
        Self {
            name,
            kind,
            base,
            option,
        }
    }

    /// An option without a value; it arrives as [`Value::Flag`].
    pub(crate) const fn flag(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::Flag, 0, option)
    }

    /// A string that is not empty; it arrives as [`Value::String`].
    pub(crate) const fn string(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::String, 0, option)
    }

    /// A number; it arrives as [`Value::U32`].
    pub(crate) const fn u32(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::U32, 0, option)
    }

    /// An octal number; it arrives as [`Value::U32`].
    pub(crate) const fn u32_octal(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::U32, 8, option)
    }

    /// A user id that the caller's namespace maps; it arrives as [`Value::Uid`].
    pub(crate) const fn uid(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::Uid, 0, option)
    }

    /// A group id that the caller's namespace maps; it arrives as [`Value::Gid`].
    pub(crate) const fn gid(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::Gid, 0, option)
    }

    /// A file descriptor, given as a number or by `FSCONFIG_SET_FD`; it arrives as
    /// [`Value::File`].
    pub(crate) const fn fd(name: &'static CStr, option: O) -> Self {
        Self::new(name, Kind::File, 0, option)
    }
}

/// The options of a file system, each with the `O` that stands for it.
///
/// # Invariants
///
/// `specs[i]` is the C description of `options[i]`, with option number `i`; `end` ends the array.
#[repr(C)]
pub(crate) struct ParamTable<O: Copy, const N: usize> {
    specs: [bindings::fs_parameter_spec; N],
    end: bindings::fs_parameter_spec,
    options: [ParamSpec<O>; N],
}

// SAFETY: A table never changes, and its pointers are to static strings and functions.
unsafe impl<O: Copy + Sync, const N: usize> Sync for ParamTable<O, N> {}

impl<O: Copy, const N: usize> ParamTable<O, N> {
    const END: bindings::fs_parameter_spec = bindings::fs_parameter_spec {
        name: core::ptr::null(),
        type_: None,
        opt: 0,
        flags: 0,
        data: core::ptr::null(),
    };

    /// The table of `options`.
    pub(crate) const fn new(options: [ParamSpec<O>; N]) -> Self {
        assert!(N <= u8::MAX as usize);
        let mut specs = [Self::END; N];
        let mut i = 0;
        while i < N {
            let option = &options[i];
            specs[i] = bindings::fs_parameter_spec {
                name: option.name.to_bytes_with_nul().as_ptr().cast(),
                type_: match option.kind {
                    Kind::Flag => None,
                    Kind::String => Some(bindings::fs_param_is_string),
                    Kind::U32 => Some(bindings::fs_param_is_u32),
                    Kind::Uid => Some(bindings::fs_param_is_uid),
                    Kind::Gid => Some(bindings::fs_param_is_gid),
                    Kind::File => Some(bindings::fs_param_is_fd),
                },
                opt: i as u8,
                flags: 0,
                data: core::ptr::without_provenance(option.base),
            };
            i += 1;
        }
        Self {
            specs,
            end: Self::END,
            options,
        }
    }

    /// The table without the type of its options.
    pub(crate) const fn list(&'static self) -> ParamList {
        // INVARIANT: The end is behind the options.
        ParamList(self.as_ptr())
    }

    const fn as_ptr(&'static self) -> *const bindings::fs_parameter_spec {
        // The pointer is to the whole table, so that `end` may be read through it.
        core::ptr::from_ref(self).cast()
    }
}

/// The options of a file system, in the form that the VFS takes.
///
/// # Invariants
///
/// It points to a static array that ends with an end mark.
#[derive(Clone, Copy)]
pub(crate) struct ParamList(*const bindings::fs_parameter_spec);

impl ParamList {
    pub(super) const fn as_ptr(self) -> *const bindings::fs_parameter_spec {
        self.0
    }
}

/// The value of an option.
pub(crate) enum Value {
    /// There is none.
    Flag,
    /// A string.
    String(OwnedStr),
    /// A number.
    U32(u32),
    /// A valid user id.
    Uid(Kuid),
    /// A valid group id.
    Gid(Kgid),
    /// An open file.
    File(ARef<File>),
}

/// An option as it comes from user space.
///
/// # Invariants
///
/// It is the parameter of a call of `parse_param`, valid for `'a`, and only this uses it.
pub(crate) struct Param<'a> {
    param: NonNull<bindings::fs_parameter>,
    _p: PhantomData<&'a mut bindings::fs_parameter>,
}

impl Param<'_> {
    /// # Safety
    ///
    /// The type's invariants must hold for `param`.
    pub(in crate::vfs) unsafe fn from_raw(param: NonNull<bindings::fs_parameter>) -> Self {
        Self {
            param,
            _p: PhantomData,
        }
    }

    /// Finds which option of `table` it is, and its value.
    ///
    /// # Errors
    ///
    /// `ENOPARAM` if the table does not have it; `EINVAL`, with a message in the log of `fc`, if
    /// the value is not of the option's kind; `EBADF` for a number that is not an open file's.
    ///
    /// # Safety
    ///
    /// `fc` must be a valid context.
    pub(super) unsafe fn parse<O: Copy, const N: usize>(
        self,
        fc: *mut bindings::fs_context,
        table: &'static ParamTable<O, N>,
    ) -> Result<(O, Value)> {
        let param = self.param.as_ptr();
        let result = Opaque::<bindings::fs_parse_result>::zeroed();
        // SAFETY: The log is that of a valid context, the table ends with its end, and parameter
        // and result are valid.
        let index = unsafe {
            bindings::__fs_parse(&raw mut (*fc).log, table.as_ptr(), param, result.get())
        };
        to_result(index)?;
        let spec = table.options.get(index as usize).ok_or(EINVAL)?;
        // SAFETY: `__fs_parse` has set the member for the kind of the option; the others are
        // numbers too, and the memory was zeroed.
        let (number, uid, gid) = unsafe {
            let result = &raw const (*result.get()).__bindgen_anon_1;
            (
                *(*result).uint_32.as_ref(),
                Kuid::from_c(*(*result).uid.as_ref()),
                Kgid::from_c(*(*result).gid.as_ref()),
            )
        };
        let value = match spec.kind {
            Kind::Flag => Value::Flag,
            Kind::U32 => Value::U32(number),
            Kind::Uid => Value::Uid(uid),
            Kind::Gid => Value::Gid(gid),
            // SAFETY: `fs_param_is_string` has checked that it is a string.
            Kind::String => Value::String(unsafe { take_string(param) }?),
            Kind::File => Value::File(
                // SAFETY: `fs_param_is_fd` has checked that it is a string or a file.
                match unsafe { bindings::fs_parameter::type__raw(param) } {
                    bindings::fs_value_type_fs_value_is_file => {
                        // SAFETY: The caller keeps the file for the call.
                        unsafe { File::from_raw_file((*param).__bindgen_anon_1.file) }.into()
                    }
                    _ => {
                        let file = LocalFile::fget(number)?;
                        // SAFETY: No system call that gives mount options uses `fdget_pos`.
                        unsafe { LocalFile::assume_no_fdget_pos(file) }
                    }
                },
            ),
        };
        Ok((spec.option, value))
    }
}

/// # Safety
///
/// `param` must be valid and hold a string, and only the caller may use it.
unsafe fn take_string(param: *mut bindings::fs_parameter) -> Result<OwnedStr> {
    // SAFETY: The caller promises it. The owner of the parameter frees what is left in it.
    let string =
        unsafe { core::mem::replace(&mut (*param).__bindgen_anon_1.string, core::ptr::null_mut()) };
    NonNull::new(string).map(OwnedStr).ok_or(EINVAL)
}
