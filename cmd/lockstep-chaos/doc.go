// Command lockstep-chaos hunts for what lockstep loses, wrecks or never brings over.
//
// It runs the real binary as "lockstep --watch --delete SRC DST" between real parts: a source on a
// file system of its own, a local target on a small one, a stock rsync daemon in another network
// namespace, an sshd. While several writers change the source at random it injects faults: programs are
// killed or stopped, links cut, disks filled, file systems unmounted (faults.go has the table). Then it
// heals, lets the source rest, and judges:
//
//   - every target is equal to the source: names, types, bytes, modes, owners, times, links;
//   - no name that was on the source all the time was ever missing on a target that had it (pins.go);
//   - no file that is only ever replaced by rename was ever seen half written (versions.go);
//   - it took no longer than a bound, and lockstep neither ended nor raced nor panicked;
//   - lockstep has no more descriptors, threads or dead children than before, and its log is short.
//
// A run is a seed, and decides with it: the setting, the faults, where, when and for how long. Timings
// vary, so that a seed that failed may have to be run a few times. Each runs in a process of its own,
// the first of new pid, mount and network namespaces: when it ends, however it ends, all that it
// started, mounted and configured is gone.
//
// It needs root, the real rsync, ip(8), mkfs.ext4(8); -list tells which faults this machine can have.
package main
