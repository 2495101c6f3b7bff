//! A map that is cheap to copy and change at any size: several maps, each shared until it is changed.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Arc, LazyLock},
};

/// Entries in a shard, on average, before there are twice as many shards. To change one entry its shard is
/// copied, so this is what a change costs; a copy of the whole costs a reference count for each shard.
const SHARD_ENTRIES: usize = 512;

/// Which shard an entry is in. One for all: a tenant has a map for each kind, most of them empty.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

pub(crate) struct Shards<K, V> {
    /// A power of two of them: one for a small map, none for an empty one, of which every tenant has several.
    maps: Vec<Arc<HashMap<K, V>>>,
    len: usize,
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self { maps: self.maps.clone(), len: self.len }
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { maps: Vec::new(), len: 0 }
    }
}

impl<K, V> fmt::Debug for Shards<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shards({})", self.len)
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Shards<K, V> {
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        if self.maps.len() <= 1 {
            return 0;
        }
        // The low bits that a 32-bit machine keeps are as good as any.
        HASHER.hash_one(key) as usize & (self.maps.len() - 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.maps.get(self.shard(key))?.get(key)
    }

    /// To change in place; copies its shard if that is shared.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let shard = self.shard(key);
        let map = self.maps.get_mut(shard)?;
        if map.contains_key(key) { Arc::make_mut(map).get_mut(key) } else { None }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.len >= SHARD_ENTRIES * self.maps.len() {
            self.grow();
        }
        let shard = self.shard(&key);
        if let Some(map) = self.maps.get_mut(shard)
            && Arc::make_mut(map).insert(key, value).is_none()
        {
            self.len += 1;
        }
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shard = self.shard(key);
        if let Some(map) = self.maps.get_mut(shard)
            && map.contains_key(key)
        {
            Arc::make_mut(map).remove(key);
            self.len -= 1;
        }
    }

    /// Whether it is a copy to which nothing was done. If not, it may hold the same all the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.len == other.len
            && self.maps.len() == other.maps.len()
            && self.maps.iter().zip(&other.maps).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The keys that only one of the two has, or whose values are not the same. Shards that both share are passed by.
    pub(crate) fn differing(&self, other: &Self, same: impl Fn(&V, &V) -> bool) -> Vec<K> {
        let alike = self.maps.len() == other.maps.len();
        let shared = |n: usize| {
            alike && matches!((self.maps.get(n), other.maps.get(n)), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
        };
        let touched = |(n, _): &(usize, &Arc<HashMap<K, V>>)| !shared(*n);
        let mine = self.maps.iter().enumerate().filter(touched).flat_map(|(_, map)| map.iter());
        let differ = mine.filter(|(key, value)| !other.get(*key).is_some_and(|theirs| same(value, theirs)));
        let theirs = other.maps.iter().enumerate().filter(touched).flat_map(|(_, map)| map.keys());
        let gone = theirs.filter(|key| self.get(*key).is_none());
        differ.map(|(key, _)| key).chain(gone).cloned().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.maps.iter().flat_map(|map| map.iter())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn grow(&mut self) {
        let mut maps: Vec<HashMap<K, V>> = Vec::new();
        maps.resize_with((self.maps.len() * 2).max(1), HashMap::new);
        for (key, value) in self.iter() {
            let shard = HASHER.hash_one(key) as usize & (maps.len() - 1);
            if let Some(map) = maps.get_mut(shard) {
                map.insert(key.clone(), value.clone());
            }
        }
        self.maps = maps.into_iter().map(Arc::new).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_a_map_holds_at_any_size() {
        let mut shards = Shards::default();
        for n in 0..5_000u32 {
            shards.insert(n.to_string(), n);
            shards.insert(n.to_string(), n + 1);
        }
        let before = shards.clone();
        assert!(before.maps.len() > 8);
        for n in (0..5_000u32).step_by(2) {
            shards.remove(n.to_string().as_str());
            shards.remove("absent");
        }
        assert_eq!((before.len(), shards.len()), (5_000, 2_500));
        for n in 0..5_000u32 {
            assert_eq!(before.get(n.to_string().as_str()), Some(&(n + 1)));
            assert_eq!(shards.get(n.to_string().as_str()).is_some(), n % 2 == 1);
        }
        assert_eq!(shards.iter().count(), 2_500);
        let mut other = before.clone();
        assert!(other.is_same(&before) && other.differing(&before, |a, b| a == b).is_empty());
        other.insert("7".to_owned(), 7);
        other.insert("new".to_owned(), 0);
        other.remove("8");
        let mut differing = other.differing(&before, |a, b| a == b);
        differing.sort();
        assert!(differing == ["7", "8", "new"] && !other.is_same(&before));
        assert_eq!(shards.differing(&Shards::default(), |a, b| a == b).len(), 2_500);
        assert_eq!(Shards::default().differing(&shards, |a, b| a == b).len(), 2_500);
        let mut empty = Shards::<String, u32>::default();
        empty.remove("absent");
        assert!(empty.get("absent").is_none() && empty.get_mut(&"absent".to_owned()).is_none());
    }
}
