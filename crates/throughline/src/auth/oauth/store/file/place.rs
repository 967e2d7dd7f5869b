//! Where each platform keeps the data of programs.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::auth::oauth::store::StoreError;

/// The directory for logins, by the environment.
pub(super) fn default_directory(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, StoreError> {
    let base = if cfg!(windows) {
        absolute(variable("LOCALAPPDATA"))
    } else if cfg!(target_os = "macos") {
        absolute(variable("HOME")).map(|home| home.join("Library/Application Support"))
    } else {
        // A relative path counts as unset: https://specifications.freedesktop.org/basedir-spec/latest/
        absolute(variable("XDG_DATA_HOME"))
            .or_else(|| absolute(variable("HOME")).map(|home| home.join(".local/share")))
    };
    let why = "the environment names no home directory to keep logins in: set HOME, or name a directory";
    Ok(base.ok_or_else(|| StoreError::unusable(why))?.join("throughline").join("logins"))
}

fn absolute(variable: Option<OsString>) -> Option<PathBuf> {
    variable.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(all(test, unix, not(target_os = "macos")))]
mod tests {
    use super::*;

    fn directory(variables: &[(&str, &str)]) -> Result<PathBuf, StoreError> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        default_directory(find)
    }

    #[test]
    fn the_data_directory_of_the_user_is_taken() {
        let home = ("HOME", "/home/ann");
        assert_eq!(directory(&[home]).unwrap(), PathBuf::from("/home/ann/.local/share/throughline/logins"));
        let data = ("XDG_DATA_HOME", "/data");
        assert_eq!(directory(&[home, data]).unwrap(), PathBuf::from("/data/throughline/logins"));
        let relative = ("XDG_DATA_HOME", "data");
        assert_eq!(
            directory(&[home, relative]).unwrap(),
            PathBuf::from("/home/ann/.local/share/throughline/logins")
        );
        assert!(directory(&[("HOME", "")]).unwrap_err().to_string().contains("set HOME"));
    }
}
