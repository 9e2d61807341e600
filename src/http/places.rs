//! How many of the connections to the database the support API and the pages of links may use at
//! once. The others are for passes: a pass must find a connection, whatever people ask for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database::Database;
use crate::http::problem::Problem;

/// Connections that are left to passes, if there are as many.
const FOR_PASSES: usize = 2;
/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// Longest time for the work of a large request, so that others get their turn.
const LARGE_TIME: Duration = Duration::from_secs(15);
/// When the caller of a request that got no turn, or was too slow, should try again.
pub(crate) const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The places of the requests that may use the database now.
pub(crate) struct Places {
    requests: Arc<Semaphore>,
    /// For requests that read or change many rows. One place is always left for the others.
    large: Arc<Semaphore>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    permits: Vec<OwnedSemaphorePermit>,
}

impl Places {
    pub(crate) fn of(database: &Database) -> Self {
        let requests = database.connections().saturating_sub(FOR_PASSES).max(1);
        let large = requests.saturating_sub(1).max(1);
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            large: Arc::new(Semaphore::new(large)),
        }
    }

    /// A place for a usual request.
    pub(crate) async fn take(&self, deadline: Instant) -> Result<Place, Problem> {
        let permit = acquire(&self.requests, deadline).await;
        let permit =
            permit.ok_or_else(|| busy("other requests are using the database; try again"))?;
        Ok(Place {
            permits: vec![permit],
        })
    }

    /// A place for a large request, and when its work must be over.
    pub(crate) async fn take_large(&self, deadline: Instant) -> Result<(Place, Instant), Problem> {
        // First in the shorter queue, so that those who wait here take no place from the others.
        let large = acquire(&self.large, deadline).await;
        let large = large.ok_or_else(|| {
            busy("other large requests are using the database; ask for less, or try again")
        })?;
        let mut place = self.take(deadline).await?;
        place.permits.push(large);
        Ok((place, deadline.min(Instant::now() + LARGE_TIME)))
    }
}

async fn acquire(places: &Arc<Semaphore>, deadline: Instant) -> Option<OwnedSemaphorePermit> {
    let wait = WAIT.min(deadline.saturating_duration_since(Instant::now()));
    let permit = tokio::time::timeout(wait, places.clone().acquire_owned()).await;
    permit.ok()?.ok()
}

fn busy(detail: &str) -> Problem {
    tracing::warn!("a request got no connection: too many at once");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(TRY_AGAIN_AFTER)
}
