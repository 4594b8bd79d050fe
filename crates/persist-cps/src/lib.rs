//! CEP persistent storage on persist: ingestion of flat frames as beats
