//! Byte-exact codec of CEP flat frames: strict reader, writer, record bodies, container, chunk AEAD
