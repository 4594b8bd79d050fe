//! One durable substrate, many engines: the facade of persist
