//! The connections of `serve`. Clients that open connections and then do not send or do not read
//! must not keep out the others, so a new connection ends another one where no place is left.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::http::Arrived;

/// Connections at once. Half of the files that a process may usually have open.
const MOST_CONNECTIONS: usize = 512;
/// How long a connection may go without a request or an answer: longer than any answer takes. It
/// ends clients that do not read what they asked for.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(30);

/// The open connections, by number, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    places: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    client: IpAddr,
    /// The program works on a request that has arrived whole.
    is_answering: Arc<AtomicBool>,
    end: CancellationToken,
}

impl Open {
    /// Ends the oldest connection of the address that has the most, of those that wait for their
    /// client. Returns whether there is one.
    fn end_one(&mut self) -> bool {
        let waiting = || {
            let places = self.places.iter();
            places.filter(|(_, place)| !place.is_answering.load(Ordering::Acquire))
        };
        let mut of_client: HashMap<IpAddr, usize> = HashMap::new();
        for (_, place) in waiting() {
            *of_client.entry(place.client).or_default() += 1;
        }
        let oldest = waiting()
            .max_by_key(|(number, place)| (of_client[&place.client], u64::MAX - **number))
            .map(|(number, _)| *number);
        let ended = oldest.and_then(|number| self.places.remove(&number));
        ended.inspect(|place| place.end.cancel()).is_some()
    }
}

impl Connections {
    /// Takes a place for a connection. `None`: all work on requests.
    pub(crate) fn take_place(self: &Arc<Self>, client: IpAddr) -> Option<Connection> {
        let mut open = self.lock();
        if open.places.len() >= MOST_CONNECTIONS && !open.end_one() {
            return None;
        }
        let number = open.next;
        open.next += 1;
        let (is_answering, end) = (Arc::default(), CancellationToken::new());
        let place = Place {
            client,
            is_answering: Arc::clone(&is_answering),
            end: end.clone(),
        };
        open.places.insert(number, place);
        Some(Connection {
            number,
            all: self.clone(),
            is_answering,
            end,
            progress: watch::Sender::default(),
        })
    }

    /// Ends a connection that waits for its client.
    pub(crate) fn end_one(&self) {
        self.lock().end_one();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    all: Arc<Connections>,
    is_answering: Arc<AtomicBool>,
    end: CancellationToken,
    /// Changes with each request and each answer.
    progress: watch::Sender<()>,
}

impl Connection {
    /// The routes, for the requests of this connection.
    pub(crate) fn service(
        &self,
        router: Router,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + 'static {
        let routes = TowerToHyperService::new(router);
        let (progress, is_answering) = (self.progress.clone(), self.is_answering.clone());
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            progress.send_replace(());
            let arrived = Arrived(is_answering.clone());
            request.extensions_mut().insert(arrived);
            let answer = routes.call(request);
            let (progress, is_answering) = (progress.clone(), is_answering.clone());
            async move {
                let answer = answer.await;
                // From here on, it waits for the client to read.
                is_answering.store(false, Ordering::Release);
                progress.send_replace(());
                answer
            }
        })
    }

    /// Serves until the client ends the connection, stands still for too long, or another
    /// connection needs the place.
    pub(crate) async fn serve(self, connection: impl Future) {
        let mut progress = self.progress.subscribe();
        let standstill = async {
            while tokio::time::timeout(LONGEST_STANDSTILL, progress.changed())
                .await
                .is_ok()
            {}
        };
        tokio::select! {
            // A client that disconnects or does not speak HTTP is not an error here.
            _ = connection => {}
            () = self.end.cancelled() => {}
            () = standstill => {}
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_connection_is_refused_only_where_all_others_work_on_requests() {
        let connections = Arc::new(Connections::default());
        let take = || connections.take_place(CLIENT);
        let mut open: Vec<_> = (0..MOST_CONNECTIONS).filter_map(|_| take()).collect();
        for connection in &open {
            connection.is_answering.store(true, Ordering::Release);
        }
        assert!(take().is_none());
        // One has its answer: it may be ended.
        open[7].is_answering.store(false, Ordering::Release);
        let next = take();
        assert!(next.is_some() && open[7].end.is_cancelled());
        drop(open.remove(7));
        if let Some(next) = &next {
            next.is_answering.store(true, Ordering::Release);
        }
        assert!(take().is_none());
        // One has ended.
        drop(open.pop());
        assert!(take().is_some());
        let ended = open.iter().chain(&next).filter(|it| it.end.is_cancelled());
        assert_eq!(ended.count(), 0);
    }
}
