//! Another model in the same world, which is asked when the first one's key is refused.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use model::{Conversation, Facts, Live, Model, ModelName, Reply};

use super::World;
use super::world::Provider;

/// Gives the replies of its world in the place of that one's own model.
pub(crate) struct Spare<'w> {
    world: &'w World,
    provider: &'w Provider,
    name: ModelName,
}

impl<'w> Spare<'w> {
    pub(crate) fn of(world: &'w World, provider: &'w Provider) -> Self {
        let name = ModelName { provider: "spare".to_owned(), model: "spare".to_owned() };
        Self { world, provider, name }
    }
}

#[async_trait]
impl Model for Spare<'_> {
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, model::Error> {
        self.world.spare_asked.fetch_add(1, Ordering::Relaxed);
        self.world.answer(self.provider, conversation, output_tokens_max, live).await
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.provider.facts
    }
}
