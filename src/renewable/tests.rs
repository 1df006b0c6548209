use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::FutureExt as _;
use tokio::{sync::oneshot, task::yield_now, time::advance};

use super::*;

const INTERVAL: Duration = Duration::from_secs(10);

type Asked = oneshot::Sender<Result<u32, Failure>>;

/// Fetches that end when the test says so, with what it says.
#[derive(Clone, Default)]
struct Issuer {
    asked: Arc<AtomicUsize>,
    hints: Arc<Mutex<Vec<Hint>>>,
    open: Arc<Mutex<Vec<Asked>>>,
}

impl Issuer {
    fn renewable(&self, lifetime: u64) -> Renewable<u32> {
        let issuer = self.clone();
        let fetch = move |hint| {
            let (sender, answer) = oneshot::channel();
            issuer.asked.fetch_add(1, Ordering::SeqCst);
            issuer.hints.lock().unwrap().push(hint);
            issuer.open.lock().unwrap().push(sender);
            async move {
                let value = answer.await.expect("the issuer answers")?;
                let lifetime = Duration::from_secs(lifetime);
                Ok(Fetched::living(value, Instant::now(), lifetime).unwrap())
            }
        };
        let metrics = Metrics::disabled();
        Renewable::new(FetchOf::ApplicationToken, INTERVAL, metrics, fetch)
    }

    async fn answer(&self, result: Result<u32, Failure>) {
        let sender = self.open.lock().unwrap().remove(0);
        sender.send(result).ok();
        // The fetch and those who wait for it are other tasks.
        for _ in 0..10 {
            yield_now().await;
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn refused() -> Failure {
    Failure::new(Kind::CredentialUnavailable, "the issuer is ill")
}

/// Asks in a task of its own, so that the test can go on.
fn ask(of: &Renewable<u32>) -> tokio::task::JoinHandle<Result<u32, Failure>> {
    let of = of.clone();
    tokio::spawn(async move { of.get().await.map(|fetched| fetched.value) })
}

async fn fetched(issuer: &Issuer, of: &Renewable<u32>, value: u32) -> Arc<Fetched<u32>> {
    let asked = ask(of);
    yield_now().await;
    issuer.answer(Ok(value)).await;
    assert_eq!(asked.await.unwrap().unwrap(), value);
    of.get().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn many_wait_for_one_fetch_and_it_outlives_the_first() {
    let issuer = Issuer::default();
    let token = issuer.renewable(3600);
    let first = ask(&token);
    yield_now().await;
    let others: Vec<_> = (0..100).map(|_| ask(&token)).collect();
    yield_now().await;
    first.abort();
    issuer.answer(Ok(7)).await;
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), 7);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_used_while_it_is_renewed_and_also_if_that_fails() {
    let issuer = Issuer::default();
    let token = issuer.renewable(3600);
    fetched(&issuer, &token, 1).await;
    advance(Duration::from_secs(3299)).await;
    assert_eq!(token.get().await.unwrap().value, 1);
    assert_eq!(issuer.asked(), 1, "fresh");
    advance(Duration::from_secs(1)).await;
    for _ in 0..10 {
        assert_eq!(token.get().await.unwrap().value, 1);
    }
    assert_eq!(issuer.asked(), 2, "stale");
    issuer.answer(Err(refused())).await;
    assert_eq!(token.get().await.unwrap().value, 1);
    assert_eq!(issuer.asked(), 2, "the failure is remembered");
    advance(Duration::from_secs(1)).await;
    assert_eq!(token.get().await.unwrap().value, 1);
    assert_eq!(issuer.asked(), 3);
    issuer.answer(Ok(2)).await;
    assert_eq!(token.get().await.unwrap().value, 2);
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_is_not_used_and_a_failure_is_told_until_its_pause_is_over() {
    let issuer = Issuer::default();
    let token = issuer.renewable(3600);
    fetched(&issuer, &token, 1).await;
    advance(Duration::from_secs(3590)).await;
    let asked = ask(&token);
    yield_now().await;
    let named = Duration::from_secs(20);
    issuer.answer(Err(refused().with_retry_after(named))).await;
    assert_eq!(asked.await.unwrap().unwrap_err().named_delay(), Some(named));
    advance(Duration::from_secs(5)).await;
    let failure = token.get().await.unwrap_err();
    assert_eq!(failure.named_delay(), Some(Duration::from_secs(15)));
    assert_eq!(issuer.asked(), 2);
    advance(Duration::from_secs(15)).await;
    let asked = ask(&token);
    yield_now().await;
    issuer.answer(Ok(2)).await;
    assert_eq!(asked.await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_is_dropped_once_for_all_who_had_it() {
    let issuer = Issuer::default();
    let token = issuer.renewable(3600);
    let old = fetched(&issuer, &token, 1).await;
    let renew = |known: &Arc<Fetched<u32>>, hint: Hint| {
        let (token, known) = (token.clone(), Arc::clone(known));
        tokio::spawn(async move { token.newer(&known, hint, true).await })
    };
    let claims: Hint = Some(Arc::from("claims"));
    let renewals: Vec<_> = (0..10).map(|_| renew(&old, claims.clone())).collect();
    yield_now().await;
    issuer.answer(Ok(2)).await;
    for renewal in renewals {
        assert_eq!(renewal.await.unwrap().unwrap().unwrap().value, 2);
    }
    assert_eq!(issuer.asked(), 2);
    assert_eq!(issuer.hints.lock().unwrap()[1], claims);
    // The new one is refused too: not at once again.
    let new = token.get().await.unwrap();
    assert!(token.newer(&new, None, true).await.unwrap().is_none());
    assert_eq!(token.get().await.unwrap().value, 2);
    // Who still has the old one is given the new one.
    assert_eq!(
        token.newer(&old, None, true).await.unwrap().unwrap().value,
        2
    );
    advance(INTERVAL).await;
    let again = renew(&new, None);
    yield_now().await;
    assert_eq!(issuer.asked(), 3);
    issuer.answer(Err(refused())).await;
    assert!(again.await.unwrap().is_err());
    assert!(token.get().await.is_err(), "the refused one is gone");
}

#[tokio::test(start_paused = true)]
async fn what_is_only_asked_for_anew_is_kept_if_that_fails() {
    let issuer = Issuer::default();
    let keys = issuer.renewable(3600);
    let known = fetched(&issuer, &keys, 1).await;
    let newer = {
        let (keys, known) = (keys.clone(), Arc::clone(&known));
        tokio::spawn(async move { keys.newer(&known, None, false).await })
    };
    yield_now().await;
    assert_eq!(keys.get().await.unwrap().value, 1);
    issuer.answer(Err(refused())).await;
    assert!(newer.await.unwrap().is_err());
    assert_eq!(keys.get().await.unwrap().value, 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_frees_the_way_for_the_next() {
    let issuer = Issuer::default();
    let token = issuer.renewable(3600);
    let asked = ask(&token);
    yield_now().await;
    drop(issuer.open.lock().unwrap().remove(0));
    assert!(asked.await.unwrap().is_err());
    // It is remembered as any other failure is.
    assert!(token.get().await.is_err());
    assert_eq!(issuer.asked(), 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(fetched(&issuer, &token, 1).await.value, 1);
}

#[test]
fn a_fetch_that_is_dropped_as_it_begins_blocks_nobody() {
    let token = Issuer::default().renewable(3600);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.handle().clone();
    drop(runtime);
    let (tell, told) = std::sync::mpsc::channel();
    // A thread of its own: what would never end must not hold the test up.
    std::thread::spawn(move || {
        let _inside = ended.enter();
        tell.send(token.get().now_or_never()).ok();
    });
    let answer = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(answer.unwrap().is_err());
}
