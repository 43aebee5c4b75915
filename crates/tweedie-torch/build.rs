//! Compiles the bridge against the headers of the libtorch that torch-sys found.
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src/bridge.cpp");
    let lib = PathBuf::from(std::env::var_os("DEP_TCH_LIBTORCH_LIB").unwrap_or_default());
    let include = lib.parent().map(|p| p.join("include")).unwrap_or_default();
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .flag("-ffp-contract=off")
        // at::parallel_for is inline and serial without it; torch-sys links the runtime.
        .flag_if_supported("-fopenmp")
        .opt_level(3)
        .warnings(false)
        .file("src/bridge.cpp")
        .compile("tweedie_bridge");
}
