//! Tensors of many sizes, processed in pieces of one size.

use tch::{Device, Kind, Tensor};

/// Applies `sum` to the values of `tensors` in pieces of at most `bucket` values that cross the borders between tensors.
pub(crate) fn in_buckets(tensors: &mut [&mut Tensor], bucket: usize, sum: &mut dyn FnMut(&mut [f32])) {
    let mut first = 0;
    while first < tensors.len() {
        let (mut end, mut count) = (first, 0);
        while end < tensors.len() && (end == first || count + tensors[end].numel() <= bucket) {
            count += tensors[end].numel();
            end += 1;
        }
        let mut values = vec![0.0_f32; count];
        let mut start = 0;
        for tensor in &tensors[first..end] {
            let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
            flat.copy_data(&mut values[start..start + flat.numel()], flat.numel());
            start += flat.numel();
        }
        for piece in values.chunks_mut(bucket) {
            sum(piece);
        }
        start = 0;
        for tensor in &mut tensors[first..end] {
            let count = tensor.numel();
            let summed = Tensor::from_slice(&values[start..start + count]).view(tensor.size().as_slice());
            tensor.copy_(&summed);
            start += count;
        }
        first = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_every_value_once() {
        let make = || [3_i64, 5, 1, 8].map(|n| Tensor::arange(n, (Kind::Float, Device::Cpu)));
        for bucket in [1, 4, 6, 100] {
            let mut tensors = make();
            let (mut calls, mut values) = (0, 0);
            in_buckets(&mut tensors.iter_mut().collect::<Vec<_>>(), bucket, &mut |piece| {
                assert!(piece.len() <= bucket);
                calls += 1;
                values += piece.len();
                piece.iter_mut().for_each(|value| *value *= 2.0);
            });
            assert_eq!(values, 17);
            assert!(bucket < 17 || calls == 1);
            for (doubled, original) in tensors.iter().zip(make()) {
                assert!(doubled.equal(&(original * 2.0)), "bucket {bucket}");
            }
        }
    }
}
