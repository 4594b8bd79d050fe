//! The disk seam of persist: the Disk trait, the real disk, atomic replace, directory lock
