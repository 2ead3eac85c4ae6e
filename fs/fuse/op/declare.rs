// SPDX-License-Identifier: GPL-2.0

//! The macro behind the table.
//!
//! It has one rule and calls no other macro of its own: every row becomes a type with its
//! [`Operation`](super::Operation), and all rows together are [`Opcode`](super::Opcode). Everything
//! that needs a decision (how a head is shortened for old servers, what a part of a reply is, what
//! ENOSYS means) is a trait in [`codec`](super::codec) and [`enosys`](super::enosys), not another
//! macro.

/// Declares the operations. The columns are explained at its one use, in
/// [`table`](super::table).
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $op:ident $(<$lifetime:lifetime>)? $([$param:ident])? $text:literal = $code:literal:
        $(-)? $($node:ident)?,
        $(-)? $($input:ident)?,
        $(-)? $($name:ident)*,
        $(-)? $($tail:ident($bytes:ident))?,
        $(-)? $($part:ident $(($max:expr))?)*,
        $reply:ident, $gate:ident, $creds:ident, $rule:ident
        $(, data $way:ident<$memory:ident>)?
        $(, share $share:ident)?
        $(, in $in_len:ident before $in_minor:literal)?
        $(, out $out_full:ident as $out_len:ident before $out_minor:literal)?;
    )+) => {
        /// The operations of the protocol, by their numbers.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Opcode {
            $( $(#[$doc])* $op = $code, )+
        }

        impl Opcode {
            /// All of them, in the order of the table.
            pub(crate) const ALL: &'static [Self] = &[$( Self::$op, )+];

            /// Its name in the protocol.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $( Self::$op => $text, )+
                }
            }
        }

        $(
            $(#[$doc])*
            pub(crate) struct $op $(<$lifetime>)? $(<$param>)? {
                $(
                    /// The node that it is on.
                    pub(crate) $node: NodeId,
                )?
                $(
                    /// The structure it sends.
                    pub(crate) args: $input,
                )?
                $(
                    /// A name it sends, without NUL.
                    pub(crate) $name: &'a [u8],
                )*
                $(
                    /// The bytes it sends.
                    pub(crate) $bytes: &'a [u8],
                )?
                $(
                    /// The data that it sends or that the reply fills.
                    pub(crate) data: $memory,
                )?
                $(
                    /// Whether a server over io_uring may have the pages of the data.
                    pub(crate) $share: bool,
                )?
            }

            // A row without node, structure or old forms leaves variables unused, one with a single
            // part puts it in parentheses, and one without data drops nothing.
            #[allow(unused_parens, unused_variables, clippy::unused_unit)]
            impl $(<$lifetime>)? $(<$param>)? Operation for $op $(<$lifetime>)? $(<$param>)?
            $( where $memory: Goes<$way> )?
            {
                const OPCODE: Opcode = Opcode::$op;
                const REPLY: Reply = Reply::$reply;
                const GATE: Gate = Gate::$gate;
                const CREDS: Creds = Creds::$creds;
                const ENOSYS: Enosys =
                    <enosys::$rule as Rule<($(<$part as Part>::Value),*)>>::ENOSYS;

                type Data = ($( Typed<$memory, $way> )?);
                type Out = <enosys::$rule as Rule<($(<$part as Part>::Value),*)>>::Out;

                #[inline]
                fn node(&self) -> NodeId {
                    let node = NodeId::NONE;
                    $( let node = self.$node; )?
                    node
                }

                #[inline]
                fn encode(&self, minor: u32, args: &mut InArgs) -> Result {
                    let limit = usize::MAX;
                    $( let limit = if minor < $in_minor { $in_len } else { limit }; )?
                    $( <$input as Head>::push(&self.args, limit, args)?; )?
                    $( args.push_name(self.$name)?; )*
                    $( <$tail as Tail>::push(self.$bytes, args)?; )?
                    Ok(())
                }

                #[inline]
                fn into_data(self) -> Self::Data {
                    ($( Typed::<$memory, $way>::new(self.data) )?)
                }

                $(
                    #[inline]
                    fn shares_pages(&self) -> bool {
                        self.$share
                    }
                )?

                #[inline]
                fn out_spec(&self, minor: u32) -> OutSpec {
                    let spec = OutSpec::default();
                    $(
                        let max = 0;
                        $(
                            let max: fn(&Self) -> u32 = $max;
                            let max = max(self);
                        )?
                        let spec = spec.then(<$part as Part>::spec(max));
                    )*
                    $(
                        let spec = if minor < $out_minor {
                            spec.shortened(size_of::<$out_full>(), $out_len)
                        } else {
                            spec
                        };
                    )?
                    spec
                }

                #[inline]
                fn decode(minor: u32, out: &mut OutArgs) -> Result<Self::Out> {
                    $(
                        if minor < $out_minor {
                            out.shorten_next($out_len);
                        }
                    )?
                    let parts = ($(<$part as Part>::take(out)?),*);
                    Ok(<enosys::$rule as Rule<($(<$part as Part>::Value),*)>>::answered(parts))
                }

                #[inline]
                fn lacking() -> Result<Self::Out> {
                    <enosys::$rule as Rule<($(<$part as Part>::Value),*)>>::lacking()
                }
            }
        )+

        /// Shows a value of every row, filled with zeroes and names of one letter, to `visitor`.
        #[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
        pub(crate) fn walk(visitor: &mut impl super::Visitor) {
            /// The data type for rows that allow several.
            type D = FolioSegments;
            $(
                visitor.visit($op {
                    $( $node: NodeId::ROOT, )?
                    $( args: <$input as Head>::sample(), )?
                    $( $name: b"n", )*
                    $( $bytes: b"12345678", )?
                    $( data: <$memory>::default(), )?
                    $( $share: true, )?
                });
            )+
        }
    };
}
pub(super) use operations;
