//! Stores by their URLs, opened where they are first asked for: who plans, a scheduler and its executors need not be told of them, but each
//! has credentials in its own environment, as they go into no plan.

use std::sync::Arc;

use datafusion::{
    common::{DataFusionError, Result},
    execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry},
};
use object_store::ObjectStore;
use url::Url;

/// The stores of a process.
#[derive(Debug, Default)]
pub(crate) struct Stores(DefaultObjectStoreRegistry);

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.0.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.0.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Ok(known) = self.0.get_store(url) {
            return Ok(known);
        }
        let store = open(url).map_err(|error| DataFusionError::ObjectStore(Box::new(error)))?;
        self.0.register_store(url, Arc::clone(&store));
        Ok(store)
    }
}

/// The store that a URL's path lies in, with what the environment says of it.
pub(crate) fn open(url: &Url) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let options = std::env::vars().map(|(key, value)| (key.to_ascii_lowercase(), value));
    let mut root = url.clone();
    root.set_path("");
    root.set_query(None);
    object_store::parse_url_opts(&root, options).map(|(store, _)| Arc::from(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_opened_once_and_kept() {
        let stores = Stores::default();
        let url = |text: &str| Url::parse(text).unwrap();
        let opened = stores.get_store(&url("memory:///")).unwrap();
        assert!(Arc::ptr_eq(&opened, &stores.get_store(&url("memory:///a/b.parquet")).unwrap()));
        assert!(stores.get_store(&url("file:///a")).is_ok(), "what DataFusion knows by itself");
        assert!(stores.get_store(&url("nothing://bucket/a")).is_err());
    }
}
