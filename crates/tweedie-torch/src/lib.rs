//! What libtorch has and tch does not expose: a thin, safe bridge
