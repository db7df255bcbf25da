//! `cutmix serve`: a device of this machine for the runs of others.

use crate::args::ServeArgs;
use crate::error::Error;

#[cfg(not(feature = "remote"))]
pub fn run(_: ServeArgs) -> Result<(), Error> {
    Err(Error::NotRemote)
}

/// Serves until Ctrl-C or SIGTERM.
#[cfg(feature = "remote")]
pub fn run(args: ServeArgs) -> Result<(), Error> {
    use std::net::TcpListener;

    use burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};

    use crate::device;
    use crate::say::say;

    let failed = |reason: String| Error::Serve {
        address: args.listen.clone(),
        reason,
    };
    let device = device::choose(&args.device)?;
    let mut server = RemoteServer::new([device.device.clone()]);
    let token = device::token()?;
    if let Some(token) = &token {
        let authorizer = TokenAuthorizer::new(token.as_str());
        server = server.with_authorizer(authorizer.expect("the token is not empty"));
    }
    let listener = TcpListener::bind(&args.listen).map_err(|error| failed(error.to_string()))?;
    let address = (listener.local_addr()).map_err(|error| failed(error.to_string()))?;
    if !address.ip().is_loopback() {
        let who = match token {
            Some(_) => "and everyone on the way can read it",
            None => "and everyone who reaches this port can read it and use the device",
        };
        eprintln!("warning: what travels is not encrypted, {who}");
    }
    // Burn's server would otherwise install one that writes a line for each session to standard
    // output. A run that ends without a farewell is a warning, but nothing is wrong.
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    log.with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .init();
    say!("serving {} on {address}", device.describe());
    server
        .serve(WebSocketTransport::from_listener(listener))
        .map_err(|error| failed(error.to_string().replace('\n', " ")))
}
