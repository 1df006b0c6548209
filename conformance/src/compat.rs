//! What connectrpc/conformance asks of a server process: a message on standard input, one on
//! standard output, each behind its length in 4 bytes.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process,
};

use crate::pb::connect::{ServerCompatRequest, ServerCompatResponse};
use prost::Message as _;

/// The server that is asked for.
pub(crate) struct Compat {
    request: ServerCompatRequest,
    /// Keys and certificates, which the gateway reads from files.
    folder: PathBuf,
}

impl Compat {
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut input = io::stdin().lock();
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_be_bytes(length).try_into()?];
        input.read_exact(&mut message)?;
        let compat = Self {
            request: ServerCompatRequest::decode(&*message)?,
            // Other servers run at the same time.
            folder: folder.join(process::id().to_string()),
        };
        fs::create_dir(&compat.folder)?;
        for (_, path, content) in compat.tls_files() {
            fs::write(path, content)?;
        }
        Ok(compat)
    }

    /// None: as many as usual.
    pub(crate) fn max_message_bytes(&self) -> Option<usize> {
        let limit = self.request.message_receive_limit;
        limit.try_into().ok().filter(|limit| *limit > 0)
    }

    /// The settings of the gateway.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let files = self.tls_files();
        let files = files.map(|(key, path, _)| (key, path.display().to_string()));
        // Where somebody can prove who they are, somebody has to be allowed something.
        let policy = ("policy.execute_response_action", "*".to_owned());
        let policy = (!self.request.client_tls_cert.is_empty()).then_some(policy);
        files.chain(policy).collect()
    }

    /// Says where the server listens.
    pub(crate) fn answer(&self, port: u16) -> io::Result<()> {
        let credentials = self.request.server_creds.as_ref();
        let certificate = credentials.filter(|_| self.request.use_tls);
        let response = ServerCompatResponse {
            host: "127.0.0.1".to_owned(),
            port: port.into(),
            pem_cert: certificate.map_or_else(Vec::new, |pair| pair.cert.clone()),
        };
        let message = response.encode_to_vec();
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        let mut output = io::stdout().lock();
        output.write_all(&length.to_be_bytes())?;
        output.write_all(&message)?;
        output.flush()
    }

    /// The key of each setting, its file, and what the file holds.
    fn tls_files(&self) -> impl Iterator<Item = (&'static str, PathBuf, &[u8])> {
        let request = &self.request;
        let pair = request.server_creds.as_ref().filter(|_| request.use_tls);
        let client_ca = Some(&request.client_tls_cert).filter(|pem| !pem.is_empty());
        [
            ("tls.certificate_file", pair.map(|pair| &pair.cert)),
            ("tls.key_file", pair.map(|pair| &pair.key)),
            ("tls.client_ca_file", client_ca),
        ]
        .into_iter()
        .filter_map(|(key, pem)| Some((key, self.folder.join(key), pem?.as_slice())))
    }
}
