//! The wheels of each platform, by name, size and SHA-256, as the package index has them.
//!
//! To move to another libtorch, `python3 -m pip install --dry-run --report` with
//! the same tags as [`Wheel::tags`] gives names and hashes.

use super::wheel::Wheel;

const fn wheel(file: &'static str, bytes: u64, sha256: &'static str) -> Wheel {
    Wheel { file, bytes, sha256 }
}

/// All that the CPU needs on Linux x86-64.
#[rustfmt::skip]
pub(crate) const LINUX_X86_64_CPU: &[Wheel] = &[
    wheel("torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl", 526_605_292, "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b"),
    wheel("nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl", 10_715_597, "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
    wheel("nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 2_243_632, "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
];

/// What CUDA needs beside it.
#[rustfmt::skip]
pub(crate) const LINUX_X86_64_CUDA: &[Wheel] = &[
    wheel("nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_x86_64.whl", 423_138_758, "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436"),
    wheel("nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", 90_215_200, "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"),
    wheel("nvidia_cudnn_cu13-9.20.0.48-py3-none-manylinux_2_27_x86_64.whl", 366_173_588, "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304"),
    wheel("nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 214_085_489, "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"),
    wheel("nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 1_223_672, "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"),
    wheel("nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl", 59_544_258, "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
    wheel("nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl", 200_941_980, "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112"),
    wheel("nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 145_942_937, "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"),
    wheel("nvidia_cusparselt_cu13-0.8.1-py3-none-manylinux2014_x86_64.whl", 170_148_586, "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0"),
    wheel("nvidia_nccl_cu13-2.29.7-py3-none-manylinux_2_18_x86_64.whl", 205_976_000, "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d"),
    wheel("nvidia_nvjitlink-13.5.37-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", 46_642_491, "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb"),
    wheel("nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 60_412_546, "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"),
    wheel("nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl", 148_047, "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4"),
];

/// All that the CPU needs on Linux arm64.
#[rustfmt::skip]
pub(crate) const LINUX_AARCH64_CPU: &[Wheel] = &[
    wheel("torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl", 427_210_998, "572df8be8ffb4599c88cbd6a0726f1f854f4da65d2e3c09f0e2c2283333cd6d4"),
    wheel("nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl", 10_310_827, "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151"),
    wheel("nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 2_261_060, "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55"),
];

/// What CUDA needs beside it.
#[rustfmt::skip]
pub(crate) const LINUX_AARCH64_CUDA: &[Wheel] = &[
    wheel("nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_aarch64.whl", 542_848_918, "b7a210458267ac818974c53038fbec2e969d5c99f305ab15c72522fa9f001dd5"),
    wheel("nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 43_015_449, "d27f20a0ca67a4bb34268a5e951033496c5b74870b868bacd046b1b8e0c3267b"),
    wheel("nvidia_cudnn_cu13-9.20.0.48-py3-none-manylinux_2_27_aarch64.whl", 444_574_296, "e31454ae00094b0c55319d9d15b6fa2fc50a9e1c0f5c8c80fb75258234e731e1"),
    wheel("nvidia_cufft-12.0.0.61-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 214_053_554, "2708c852ef8cd89d1d2068bdbece0aa188813a0c934db3779b9b1faa8442e5f5"),
    wheel("nvidia_cufile-1.15.1.6-py3-none-manylinux_2_27_aarch64.whl", 1_136_992, "bdc0deedc61f548bddf7733bdc216456c2fdb101d020e1ab4b88d232d5e2f6d1"),
    wheel("nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_aarch64.whl", 61_962_106, "133df5a7509c3e292aaa2b477afd0194f06ce4ea24d714d616ff36439cee349a"),
    wheel("nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_aarch64.whl", 223_467_760, "02c2457eaa9e39de20f880f4bd8820e6a1cfb9f9a34f820eb12a155aa5bc92d2"),
    wheel("nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 162_155_568, "80bcc4662f23f1054ee334a15c72b8940402975e0eab63178fc7e670aa59472c"),
    wheel("nvidia_cusparselt_cu13-0.8.1-py3-none-manylinux2014_aarch64.whl", 221_051_344, "4dca476c50bf4780d46cd0bfbd82e2bc10a08e4fef7950917ce8d7578d22a23f"),
    wheel("nvidia_nccl_cu13-2.29.7-py3-none-manylinux_2_18_aarch64.whl", 206_014_712, "674a12383e3c38a1bcccae7d4f3633b37852230b6047883cb2f4c2d1b36d9bf5"),
    wheel("nvidia_nvjitlink-13.5.37-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 45_253_761, "893f6f9a55b2720ed94913b5ba3332e972da8c78dfa2863d0244403dbd528ffc"),
    wheel("nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 60_215_947, "6dc2a197f38e5d0376ad52cd1a2a3617d3cdc150fd5966f4aee9bcebb1d68fe9"),
    wheel("nvidia_nvtx-13.0.85-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", 148_878, "cb7780edb6b14107373c835bf8b72e7a178bac7367e23da7acb108f973f157a6"),
];

/// All that macOS on arm64 needs.
#[rustfmt::skip]
pub(crate) const MACOS_AARCH64_CPU: &[Wheel] = &[
    wheel("torch-2.13.0-cp312-cp312-macosx_14_0_arm64.whl", 111_213_045, "2fe228aba290d14b9f31b049be550dbd469c3fd3013d7a19705b30454da97027"),
];
