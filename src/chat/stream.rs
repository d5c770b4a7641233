//! Streams of a chat: they end with their token, and with their chat.

use uuid::Uuid;

use super::{Chats, Ending, Over, error::ChatError};

impl Chats {
    /// Takes in a stream of a request: it ends with its token, and with its chat. Refused while the chat is being deleted.
    pub fn stay(&self, chat: Option<Uuid>, token: Option<Ending>) -> Result<Stay, ChatError> {
        let ending = match chat {
            Some(chat) => self.book().registry.connect(chat)?,
            None => None,
        };
        Ok(Stay {
            chat: chat.filter(|_| ending.is_some()),
            chats: self.clone(),
            endings: [token, ending],
        })
    }
}

/// A stream that is open: counted at its chat until it is dropped.
#[derive(Debug)]
pub struct Stay {
    chats: Chats,
    /// The chat at which it is counted.
    chat: Option<Uuid>,
    endings: [Option<Ending>; 2],
}

impl Stay {
    /// Resolves when the stream must end. Safe to drop and to call again.
    pub async fn over(&self) -> Over {
        let over = async |ending: &Option<Ending>| match ending {
            Some(ending) => ending.ended().await,
            None => std::future::pending().await,
        };
        let [token, chat] = &self.endings;
        tokio::select! {
            biased;
            why = over(token) => why,
            why = over(chat) => why,
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let (Some(chat), [_, Some(ending)]) = (self.chat, &self.endings) {
            self.chats.book().registry.disconnect(chat, ending);
        }
    }
}
