// SPDX-License-Identifier: GPL-2.0

//! Operations by chance on one file, compared with a copy of it in memory.
//!
//! Throws the dice from a seed, so that a run can be thrown again. Each read is compared with what
//! the file must hold, and each operation that may change the size with what that must be. At the
//! first difference it says what it found, and which operations were the last.
//!
//! With --survive somebody is going to take the file system away meanwhile. Operations then fail;
//! once there is a line on the standard input, the file must be there again, with all that had
//! been synced and not been touched since.

mod model;
mod ops;

use model::Model;
use ops::Failure;
use ops::Kind;
use ops::Player;

const USAGE: &str = "usage: fsx [OPTION...] FILE
  --ops N        how many operations (100000)
  --seed N       throw the dice as in the run that printed N
  --size N       the most bytes that the file may have (262144)
  --longest N    the most bytes of one operation (32768)
  --often KIND   do this kind of operation ten times as often; may be repeated
  --never KIND   never do this kind; may be repeated
  --survive      lose the file system, wait for a line, look at what was synced";

fn usage() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2)
}

fn number(argument: Option<String>) -> u64 {
    let number = argument.and_then(|s| s.parse().ok());
    number.unwrap_or_else(|| usage())
}

fn kind(argument: Option<String>) -> Kind {
    let kind = argument.and_then(|name| Kind::named(&name));
    kind.unwrap_or_else(|| usage())
}

fn main() {
    let (mut count, mut size, mut longest) = (100_000, 256 << 10, 32 << 10);
    let mut seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |t| t.as_nanos() as u64 % 1_000_000_007);
    let (mut often, mut never, mut survive, mut path) = (Vec::new(), Vec::new(), false, None);
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--ops" => count = number(args.next()),
            "--seed" => seed = number(args.next()),
            "--size" => size = number(args.next()) as usize,
            "--longest" => longest = number(args.next()) as usize,
            "--often" => often.push(kind(args.next())),
            "--never" => never.push(kind(args.next())),
            "--survive" => survive = true,
            _ if a.starts_with('-') || path.is_some() => usage(),
            _ => path = Some(a),
        }
    }
    let Some(path) = path.filter(|_| size > 0 && longest > 0) else {
        usage()
    };
    println!("seed {seed}");

    let mut player = Player::new(&path, Model::new(size), longest, seed, &often, &never);
    let failure = match player.play(count) {
        Ok(()) if survive => {
            eprintln!("the file system is still there after {count} operations");
            std::process::exit(1)
        }
        Ok(()) => {
            println!("{count} operations, {}", player.summary());
            return;
        }
        Err(failure) => failure,
    };
    match failure {
        Failure::Call(what, error) if survive => {
            // It may be what keeps the file system from being taken away.
            player.close();
            println!("lost: {what}: {error}");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("a line");
            match player.survived() {
                Ok(kept) => println!("{kept}"),
                Err(failure) => tell(&player, failure),
            }
        }
        failure => tell(&player, failure),
    }
}

/// Says what went wrong, and ends.
fn tell(player: &Player, failure: Failure) -> ! {
    player.last_words().for_each(|line| eprintln!("{line}"));
    match failure {
        Failure::Call(what, error) => eprintln!("{what} failed: {error}"),
        Failure::Differs(what) => eprintln!("{what}"),
    }
    std::process::exit(1)
}
