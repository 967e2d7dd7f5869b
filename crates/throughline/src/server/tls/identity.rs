//! The certificate and the key, and where they are from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::TlsError;

/// What the server shows, as it is.
pub(super) struct Identity {
    files: Option<Files>,
    key: RwLock<Arc<CertifiedKey>>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    pub(super) fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.into(), key: key.into() };
        let key = RwLock::new(Arc::new(files.read()?));
        Ok(Self { files: Some(files), key })
    }

    pub(super) fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let key = parse(certificate, "the text of the certificate", key, "the text of the key")?;
        Ok(Self { files: None, key: RwLock::new(Arc::new(key)) })
    }

    /// Reads the files again: whether there is another certificate in them.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let Some(files) = &self.files else { return Ok(false) };
        let read = files.read()?;
        let mut key = self.key.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = key.cert != read.cert;
        if is_other {
            *key = Arc::new(read);
        }
        Ok(is_other)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Files {
    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        parse(&read(&self.certificate)?, &certificate.to_string(), &read(&self.key)?, &key.to_string())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
        Ok(read) if read as u64 > MAX_FILE => Err(TlsError::new(format!(
            "{} is too large for a certificate or a key; give the right file",
            path.display()
        ))),
        Ok(_) => Ok(bytes),
        Err(error) => Err(TlsError::new(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// The certificate and the key of PEM texts that are named like this.
fn parse(
    certificate: &[u8],
    certificate_name: &str,
    key: &[u8],
    key_name: &str,
) -> Result<CertifiedKey, TlsError> {
    let mut chain = Vec::new();
    for found in CertificateDer::pem_slice_iter(certificate) {
        chain.push(found.map_err(|error| {
            TlsError::new(format!("{certificate_name} is no PEM text that can be read: {error}"))
        })?);
    }
    if chain.is_empty() {
        let hint = if holds_key(certificate) { ", but a key; were the two exchanged?" } else { "" };
        return Err(TlsError::new(format!(
            "there is no certificate (BEGIN CERTIFICATE) in {certificate_name}{hint}"
        )));
    }
    let Ok(key_der) = PrivateKeyDer::from_pem_slice(key) else {
        let why = if contains(key, "BEGIN ENCRYPTED PRIVATE KEY") || contains(key, "Proc-Type: 4,ENCRYPTED") {
            "; it has a passphrase: take that away with `openssl pkey -in KEY -out PLAIN`, and let only this user read the file"
        } else if contains(key, "BEGIN CERTIFICATE") {
            ", but a certificate; give the file of the key"
        } else {
            ""
        };
        return Err(TlsError::new(format!(
            "there is no key (BEGIN PRIVATE KEY) that can be read in {key_name}{why}"
        )));
    };
    CertifiedKey::from_der(chain, key_der, &provider()).map_err(|error| {
        TlsError::new(match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "the key in {key_name} is not that of the first certificate in {certificate_name}; that of the server comes \
                 first there, before those of its authorities"
            ),
            Error::InvalidCertificate(error) => {
                format!("the certificate in {certificate_name} cannot be used: {error}")
            }
            error => format!("the key in {key_name} cannot be used; give an ECDSA, RSA or Ed25519 key: {error}"),
        })
    })
}

fn holds_key(pem: &[u8]) -> bool {
    let kinds = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    kinds.flatten().any(|(kind, _)| {
        matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
    })
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Bytes of a file: a long chain has some 20 KiB.
const MAX_FILE: u64 = 1024 * 1024;
