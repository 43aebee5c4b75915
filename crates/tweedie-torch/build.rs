//! Compiles the bridge against the headers of the libtorch that torch-sys found.
use std::env::var_os;
use std::path::{Path, PathBuf};
use std::process::exit;

const WANTED: &str = "tweedie-torch needs libtorch 2.13.0: run `cargo xtask setup`, or set LIBTORCH \
                      to its folder (the one with include/ and lib/)";

fn main() {
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let include = include();
    // What a sampler adds up has the same bits on every processor: no multiplication and addition
    // becomes one operation.
    build(&include, &["cpp/allocations.cpp", "cpp/bridge.cpp", "cpp/dropout.cpp", "cpp/fused.cpp"])
        .flag("-ffp-contract=off")
        .compile("tweedie_bridge");
    // Networks have not anyway. A choice between numbers is no branch if comparing them traps nothing.
    build(&include, &["cpp/group_norm.cpp", "cpp/packed.cpp", "cpp/tokens.cpp"])
        .flag("-ffp-contract=fast")
        .flag("-fno-trapping-math")
        .compile("tweedie_ops");
}

fn build(include: &Path, files: &[&str]) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(include)
        .include(include.join("torch/csrc/api/include"))
        // at::parallel_for is inline and serial without it; torch-sys links the runtime.
        .flag_if_supported("-fopenmp")
        .opt_level(3)
        .warnings(false)
        .files(files);
    build
}

/// Where the headers are: beside the libraries, unless torch-sys was told otherwise.
fn include() -> PathBuf {
    let lib = PathBuf::from(var_os("DEP_TCH_LIBTORCH_LIB").unwrap_or_default());
    let include = match var_os("LIBTORCH_INCLUDE") {
        Some(folder) => PathBuf::from(folder).join("include"),
        None => lib.parent().map(|p| p.join("include")).unwrap_or_default(),
    };
    if !include.join("ATen/ATen.h").exists() {
        println!("cargo:warning=no libtorch headers in {}", include.display());
        println!("cargo:warning={WANTED}");
        exit(1);
    }
    let version = std::fs::read_to_string(include.join("torch/headeronly/version.h"));
    let number = |text: &str, part: &str| -> Option<u32> {
        let rest = text.split_once(&format!("#define TORCH_VERSION_{part} "))?.1;
        rest.split_whitespace().next()?.parse().ok()
    };
    let found = version.ok().and_then(|v| Some((number(&v, "MAJOR")?, number(&v, "MINOR")?)));
    if found != Some((2, 13)) {
        let found = found.map_or("an unknown version".to_owned(), |(a, b)| format!("{a}.{b}"));
        println!("cargo:warning=the libtorch at {} is {found}", include.display());
        println!("cargo:warning={WANTED}");
        exit(1);
    }
    include
}
