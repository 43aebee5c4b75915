//! What a wheel's file name says: name, version and the tags pip is asked with.

/// A wheel on the package index, known by its exact bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// The file name, as the index has it.
    pub(crate) file: &'static str,
    /// Its size.
    pub(crate) bytes: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub(crate) sha256: &'static str,
}

impl Wheel {
    /// `name==version`, as pip wants it.
    pub(crate) fn requirement(&self) -> String {
        format!("{}=={}", self.part(0).replace('_', "-"), self.part(1))
    }

    /// Arguments for `pip download` that select this very file, whatever
    /// Python and machine pip itself runs on.
    pub(crate) fn tags(&self) -> Vec<String> {
        // A pure-Python tag (`py3`) fits every interpreter; the newest serves.
        let python = match self.part(2).strip_prefix("cp3") {
            Some(minor) => format!("3.{minor}"),
            None => "3.12".to_owned(),
        };
        let platform = self.part(4).split('.').next().unwrap_or_default().to_owned();
        let pairs = [
            ("--python-version", python),
            ("--implementation", "cp".to_owned()),
            ("--abi", self.part(3).to_owned()),
            ("--platform", platform),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// `name-version-python-abi-platforms.whl`, by number.
    fn part(&self, n: usize) -> &'static str {
        self.file.strip_suffix(".whl").unwrap_or(self.file).splitn(5, '-').nth(n).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_compiled_wheel_gives_its_tags() {
        let wheel = Wheel {
            file: "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            bytes: 0,
            sha256: "",
        };
        assert_eq!(wheel.requirement(), "torch==2.13.0");
        let tags = wheel.tags().join(" ");
        assert_eq!(
            tags,
            "--python-version 3.12 --implementation cp --abi cp312 --platform manylinux_2_28_x86_64"
        );
    }

    #[test]
    fn the_first_of_several_platforms_serves() {
        let wheel = Wheel {
            file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 0,
            sha256: "",
        };
        assert_eq!(wheel.requirement(), "nvidia-cuda-runtime==13.0.96");
        let tags = wheel.tags().join(" ");
        assert!(tags.ends_with("--abi none --platform manylinux2014_x86_64"), "{tags}");
    }
}
