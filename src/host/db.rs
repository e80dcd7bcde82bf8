//! Writes a hash file of db(3), version 2, as libc reads it for pwd.db: a header of big-endian words, then
//! one page for each bucket, then one that says which overflow pages are in use. There are none here: the
//! number of buckets is doubled until every pair finds room in its own. Pure.
//!
//! Format: lib/libc/db/hash (hash.h, page.h, hash_page.c).

const MAGIC: u32 = 0x0006_1561;
const VERSION: u32 = 2;
const BIG_ENDIAN: u32 = 4321;
const PAGE: usize = 4096;
const PAGE_SHIFT: u32 = 12;
/// Split points that the header has room for, and so a bound on the doubling.
const SPLIT_POINTS: usize = 32;
/// Words of the header before the split points, which are followed by as many 16-bit words.
const WORDS: usize = 17;
/// hash.h's CHARKEY, with its NUL: proves that reader and writer hash alike.
const CHARACTER_KEY: &[u8] = b"%$sniglet^&\0";

/// Keys with their values, in no order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The file with these pairs; `None` where one is too large for any page.
pub fn build(pairs: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<u8>> {
    for doublings in 1..16 {
        let pages = pages(pairs, 1 << doublings)?;
        if let Some(pages) = pages {
            return Some(file(doublings, pairs.len(), &pages));
        }
    }
    None
}

/// Chris Torek's hash, db(3)'s default.
fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0u32, |hash, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
    })
}

/// One page for each bucket. The outer `None`: a pair fits no page; the inner: a bucket is too full.
fn pages(pairs: &[(Vec<u8>, Vec<u8>)], buckets: u32) -> Option<Option<Vec<Vec<u8>>>> {
    let mut full = Vec::new();
    for bucket in 0..buckets {
        let own = pairs
            .iter()
            .filter(|(key, _)| hash(key) & (buckets - 1) == bucket);
        let mut page = Page::default();
        for (key, value) in own {
            if !Page::default().has_room(key, value) {
                return None;
            }
            if !page.has_room(key, value) {
                return Some(None);
            }
            page.put(key, value);
        }
        full.push(page.bytes());
    }
    Some(Some(full))
}

/// A page: the number of offsets, the offsets, how much is free and where, and at the end of the page the
/// keys and values, the first one last.
struct Page {
    offsets: Vec<usize>,
    data: Vec<u8>,
    free_to: usize,
}

impl Default for Page {
    fn default() -> Page {
        Page {
            offsets: Vec::new(),
            data: vec![0; PAGE],
            free_to: PAGE,
        }
    }
}

impl Page {
    /// What offsets and their frame take.
    fn frame(offsets: usize) -> usize {
        2 * (offsets + 3)
    }

    /// As PAIRFITS: room for an overflow page's address has to be left, whether one comes or not.
    fn has_room(&self, key: &[u8], value: &[u8]) -> bool {
        let wanted = Page::frame(self.offsets.len() + 4) + key.len() + value.len();
        wanted <= self.free_to
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        for bytes in [key, value] {
            let to = self.free_to;
            self.free_to = to.saturating_sub(bytes.len());
            if let Some(room) = self.data.get_mut(self.free_to..to) {
                room.copy_from_slice(bytes);
            }
            self.offsets.push(self.free_to);
        }
    }

    fn bytes(mut self) -> Vec<u8> {
        let free = self.free_to.saturating_sub(Page::frame(self.offsets.len()));
        let count = std::iter::once(self.offsets.len());
        let shorts = count.chain(self.offsets).chain([free, self.free_to]);
        let frame = shorts.flat_map(|short| u16::try_from(short).unwrap_or(0).to_be_bytes());
        for (byte, value) in self.data.iter_mut().zip(frame) {
            *byte = value;
        }
        self.data
    }
}

fn file(doublings: u32, keys: usize, pages: &[Vec<u8>]) -> Vec<u8> {
    let buckets = 1u32 << doublings;
    let header = [
        MAGIC,
        VERSION,
        BIG_ENDIAN,
        PAGE as u32,
        PAGE_SHIFT,
        // Sizes and shift of the reader's own tables.
        256,
        256,
        8,
        // Where overflow pages would be made, and the last that was given back.
        doublings,
        2,
        // The last bucket, the masks of twice as many buckets and of these, and the fill factor.
        buckets - 1,
        2 * buckets - 1,
        buckets - 1,
        65536,
        u32::try_from(keys).unwrap_or(u32::MAX),
        // Pages of the header.
        1,
        hash(CHARACTER_KEY),
    ];
    // The pages that split points begin with; from ours on there is one more: the map of overflow pages.
    let spares = (0..SPLIT_POINTS as u32).map(|point| match point {
        point if point == doublings || point == doublings + 1 => doublings + 1,
        _ => 0,
    });
    // Its address: split point, then the page at it, which is the first.
    let map = std::iter::once(u16::try_from(doublings << 11 | 1).unwrap_or(0));
    let maps = map.chain(std::iter::repeat(0)).take(SPLIT_POINTS);

    let mut file: Vec<u8> = Vec::with_capacity(PAGE * (pages.len() + 2));
    debug_assert_eq!(header.len(), WORDS);
    file.extend(header.into_iter().chain(spares).flat_map(u32::to_be_bytes));
    file.extend(maps.flat_map(u16::to_be_bytes));
    file.resize(PAGE, 0);
    for page in pages {
        file.extend(page);
    }
    file.extend(overflow_map(doublings + 1));
    file
}

/// One bit for each overflow page: the map itself is one, and those beyond `exist` are no pages at all.
fn overflow_map(exist: u32) -> Vec<u8> {
    let mut map = vec![0xff; PAGE];
    let first = (u32::MAX << exist) | 1;
    for (byte, value) in map.iter_mut().zip(first.to_be_bytes()) {
        *byte = value;
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds a key as hash_access() does: the bucket's page, then its pairs one after the other.
    fn get(file: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        let word = |index: usize| {
            u32::from_be_bytes(file[index * 4..index * 4 + 4].try_into().unwrap()) as usize
        };
        let (most, high, low) = (word(10), word(11), word(12));
        let mut bucket = hash(key) as usize & high;
        if bucket > most {
            bucket &= low;
        }
        let page = &file[PAGE * (bucket + 1)..PAGE * (bucket + 2)];
        let short =
            |index: usize| usize::from(u16::from_be_bytes([page[index * 2], page[index * 2 + 1]]));
        let mut end = PAGE;
        for index in (1..short(0)).step_by(2) {
            let (key_at, value_at) = (short(index), short(index + 1));
            if &page[key_at..end] == key {
                return Some(page[value_at..key_at].to_vec());
            }
            end = value_at;
        }
        None
    }

    #[test]
    fn every_key_is_found_with_its_value_and_no_other_key() {
        for count in [0u32, 1, 2, 50, 3000] {
            let pairs: Pairs = (0..count)
                .map(|n| (n.to_be_bytes().to_vec(), format!("value {n}").into_bytes()))
                .collect();
            let file = build(&pairs).unwrap();
            for (key, value) in &pairs {
                assert_eq!(get(&file, key).as_ref(), Some(value));
            }
            assert_eq!(get(&file, b"none"), None);
            assert_eq!(file.len() % PAGE, 0);
        }
    }

    #[test]
    fn what_fits_no_page_is_refused() {
        let fits = |length| build(&[(b"k".to_vec(), vec![0; length])]).is_some();
        // Ten bytes of offsets and frame for one pair, four for an overflow page, one for the key.
        assert!(fits(PAGE - 15) && !fits(PAGE - 14) && !fits(1 << 20));
    }

    #[test]
    fn the_hash_is_libcs() {
        assert_eq!(hash(b"a"), 97);
        assert_eq!(hash(b"ab"), 97 * 33 + 98);
        // What libc compares with the header before it reads anything.
        assert_eq!(hash(CHARACTER_KEY), 0x956e_7de3);
    }
}
