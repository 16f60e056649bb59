//! TLS 1.3 with the certificates of a world, for what isn't the hub's: both sides show theirs.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Result;
use crate::world::{BANK, World};

/// The application protocol of HTTP/2.
pub(crate) const H2: &[u8] = b"h2";

fn roots(pki: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join("ca.pem"))?)?;
    Ok(roots)
}

/// A client with the bank's certificate, as at the hub.
pub(crate) fn client(world: &World, protocol: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    let (certificate, key) = world.certificate(BANK);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(&world.path("pki"))?)
        .with_client_auth_cert(vec![CertificateDer::from_pem_file(certificate)?], PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols.extend(protocol.map(<[u8]>::to_vec));
    Ok(Arc::new(config))
}

/// A server that wants a client's certificate.
pub(crate) fn server(pki: &Path, protocol: Option<&[u8]>) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pki)?), Arc::clone(&provider)).build()?;
    let chain = vec![CertificateDer::from_pem_file(pki.join("server.pem"))?];
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(pki.join("server.key"))?)?;
    config.alpn_protocols.extend(protocol.map(<[u8]>::to_vec));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Begins TLS on a connection.
pub(crate) async fn connect(config: &Arc<ClientConfig>, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    TlsConnector::from(Arc::clone(config)).connect(name, tcp).await
}
