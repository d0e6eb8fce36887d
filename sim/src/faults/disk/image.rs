//! The bytes of a file, in pages that two images can share: what is seen and what is durable
//! differ in few of them.
//!
//! Knows nothing of writes or what becomes of them.

use std::sync::Arc;

/// What a page cache works with: bytes become dirty, clean and durable page by page.
pub(super) const PAGE: usize = 4_096;

/// The bytes of a page.
pub(super) type Page = [u8; PAGE];

/// The bytes of a file. A page that was never written holds zeros and takes no room.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pages: Vec<Option<Arc<Page>>>,
    len: u64,
    written: u64,
}

impl Image {
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Pages that take room.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// What lies behind the new end is gone; what is new are zeros.
    pub(super) fn set_len(&mut self, len: u64) {
        let pages = index(len.div_ceil(PAGE as u64));
        self.written -= self.pages.iter().skip(pages).flatten().count() as u64;
        self.pages.resize(pages, None);
        let kept = index(len % PAGE as u64);
        if len < self.len
            && kept > 0
            && let Some(Some(page)) = self.pages.last_mut()
        {
            Arc::make_mut(page)[kept..].fill(0);
        }
        self.len = len;
    }

    /// Reads bytes; false if there are not so many.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        let mut done = 0;
        for (page, from, to) in parts(offset, out.len()) {
            let part = &mut out[done..done + to - from];
            match self.page(page) {
                Some(bytes) => part.copy_from_slice(&bytes[from..to]),
                None => part.fill(0),
            }
            done += to - from;
        }
        true
    }

    pub(super) fn page(&self, page: usize) -> Option<&Arc<Page>> {
        self.pages.get(page).and_then(Option::as_ref)
    }

    /// Whether writing this page takes room that it has not taken yet.
    pub(super) fn is_hole(&self, page: usize) -> bool {
        self.page(page).is_none()
    }

    /// The page is this one from now on. A page behind the end stays unseen.
    pub(super) fn put(&mut self, page: usize, bytes: Arc<Page>) {
        if let Some(place) = self.pages.get_mut(page) {
            self.written += u64::from(place.is_none());
            *place = Some(bytes);
        }
    }
}

/// The pages that so many bytes from an offset on lie in, and from where to where in each.
pub(super) fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let (page, from) = (at / PAGE as u64, at % PAGE as u64);
            let to = (end - page * PAGE as u64).min(PAGE as u64);
            at = page * PAGE as u64 + to;
            (index(page), index(from), index(to))
        })
    })
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a simulated file fits into memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_in_the_pages_around_them() {
        assert_eq!(parts(0, PAGE).collect::<Vec<_>>(), [(0, 0, PAGE)]);
        assert_eq!(
            parts(PAGE as u64 - 1, PAGE + 2).collect::<Vec<_>>(),
            [(0, PAGE - 1, PAGE), (1, 0, PAGE), (2, 0, 1)]
        );
    }

    #[test]
    fn what_is_cut_off_comes_back_as_zeros() {
        let mut image = Image::default();
        image.set_len(2 * PAGE as u64);
        image.put(0, Arc::new([7; PAGE]));
        image.put(1, Arc::new([8; PAGE]));
        assert_eq!(image.written(), 2);
        image.set_len(10);
        image.set_len(PAGE as u64 + 1);
        let mut bytes = [1; 12];
        assert!(image.read(0, &mut bytes));
        assert_eq!(bytes, [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0]);
        assert_eq!(image.written(), 1);
        assert!(!image.read(PAGE as u64, &mut bytes));
    }
}
